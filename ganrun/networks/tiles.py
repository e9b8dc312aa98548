"""Images cut into tiles that change places."""

from functools import cache
from itertools import permutations

import torch
from torch import Tensor


@cache
def far_permutations(tiles: int, count: int) -> Tensor:
    """Return `count` permutations of the tiles, int64 [count, tiles], that differ in as many places as possible.

    Noroozi & Favaro 2016, algorithm 1: each is, of all permutations, the farthest from those before it by the Hamming
    distance; here the first of them in lexicographic order. The first is the reversal.
    """
    everything = torch.tensor([*permutations(range(tiles))], dtype=torch.int8)
    chosen = [everything[-1]]
    distance = torch.full((len(everything),), tiles + 1)
    while len(chosen) < count:
        distance = torch.minimum(distance, (everything != chosen[-1]).sum(1))
        chosen.append(everything[distance.argmax()])
    return torch.stack(chosen).long()


def shuffle_tiles(x: Tensor, places: Tensor, side: int) -> Tensor:
    """Return images [B, C, H, W] whose side x side tiles have changed places; pixels beyond the tiles are cut off.

    places: int64 [B, side^2]; tile n of the result is tile places[:, n] of x, counted by rows.
    """
    height, width = x.shape[2] // side, x.shape[3] // side
    tiles = x[:, :, : side * height, : side * width].unflatten(3, (side, width)).unflatten(2, (side, height))
    tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # [B, tiles, C, h, w]
    index = places[:, :, None, None, None].expand_as(tiles)
    shuffled = tiles.gather(1, index).unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5)
    return shuffled.flatten(4, 5).flatten(2, 3)

"""Nearest neighbours, found block by block, and whether samples are copies of training pictures."""

import math

import torch
from torch import Tensor

from ganrun.data.images import make_grid, to_float
from ganrun.errors import UserError
from ganrun.metrics.sampling import float64_device

NEAR = 1 / 3  # of the distance between training pictures: nearer than that hardly an honest sample comes


def as_rows(x: Tensor, device: torch.device) -> Tensor:
    """x [N, ...] as float64 [N, d] on `device`, or on the CPU where the device has no float64."""
    return x.flatten(1).to(float64_device(device), torch.float64)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances of the rows of x [n, d] and y [m, d], both float64: [n, m].

    One matrix product, |x|^2 + |y|^2 - 2 xy, whose error is some 1e-15 of |x|^2 + |y|^2: nothing for pictures of whole
    numbers, and for features only rows nearer than 1e-7 of their norms cannot be told apart. In float32 near-duplicates
    would drown, all the more where a GPU multiplies in TF32; autocast leaves float64 alone.
    """
    products = (x @ y.T).mul_(-2)
    return products.add_(x.square().sum(1)[:, None]).add_(y.square().sum(1)).clamp_(min=0)


def nearest_neighbours(
    x: Tensor, among: Tensor, k: int = 5, own: Tensor | None = None, block: int = 1024
) -> tuple[Tensor, Tensor]:
    """Distances, float64 [N, k], nearest first, and places, int64 [N, k], of the k nearest rows of `among`.

    x, among: [N, ...] and [M, ...], pictures (uint8) or features; of a memory-mapped array only `block` rows are read
    at a time. own: int64 [N], the place of each row of x in `among`, where it is no neighbour of itself.
    Computed on the device of x. Raises UserError when there are fewer than k neighbours.
    """
    if len(among) - (own is not None) < k:
        raise UserError(f"{k} nearest neighbours were asked for among {len(among)} pictures: ask for fewer.")
    places = range(0, len(x), block)
    owns = [None] * len(places) if own is None else own.split(block)
    found = [_nearest_of_block(x[i : i + block], among, k, j, block) for i, j in zip(places, owns, strict=True)]
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _nearest_of_block(x: Tensor, among: Tensor, k: int, own: Tensor | None, block: int) -> tuple[Tensor, Tensor]:
    rows = as_rows(x, x.device)
    best = rows.new_full((len(rows), k), math.inf)
    index = torch.zeros_like(best, dtype=torch.long)
    for start in range(0, len(among), block):
        squared = squared_distances(rows, as_rows(among[start : start + block], x.device))
        if own is not None:
            _hide(squared, own.to(squared.device) - start)
        part, place = squared.topk(min(k, squared.shape[1]), largest=False)
        best, order = torch.cat([best, part], 1).topk(k, largest=False)
        index = torch.cat([index, place + start], 1).gather(1, order)
    return best.sqrt(), index


def _hide(squared: Tensor, column: Tensor) -> None:
    """Puts row i's value in column[i] out of reach, where there is such a column."""
    row = ((column >= 0) & (column < squared.shape[1])).nonzero().squeeze(1)
    squared[row, column[row]] = math.inf


def relative_distances(samples: Tensor, train: Tensor, block: int = 1024) -> Tensor:
    """Each sample's distance to its nearest training picture, in units of that one's to its nearest other: float64 [N].

    samples, train: [N, ...] and [M, ...], pictures (uint8) or features. 0 for exact copies.
    """
    distance, index = nearest_neighbours(samples, train, 1, block=block)
    hit, back = index[:, 0].unique(return_inverse=True)
    hit = hit.to(train.device)
    other, _ = nearest_neighbours(train[hit].to(samples.device), train, 1, own=hit, block=block)
    return (distance / other[back]).masked_fill(distance == 0, 0)[:, 0]


def copy_shares(samples: Tensor, train: Tensor, block: int = 1024) -> dict[str, float]:
    """Shares, 0..1, of samples that are as near to a training picture as its own nearest other one, or nearer.

    samples, train: both uint8 pictures or both features.
    copied_share: that share.   near_copies: the share within a third of that distance.
    An honest generator's copied_share is not 0, as a sample and its nearest picture are often each other's nearest: for
    Gaussians 0.62 in 2 dimensions, 0.2 to 0.3 in 100, where it depends on the count of pictures too. Only a share above
    that of pictures which training has not seen tells copying. Near copies an honest generator makes next to none, save
    in few dimensions.
    """
    distances = relative_distances(samples, train, block)
    return {"copied_share": share_within(1, distances), "near_copies": share_within(NEAR, distances)}


def share_within(limit: float, distances: Tensor) -> float:
    return (distances <= limit).double().mean().item()


def plot_neighbours(samples: Tensor, train: Tensor, index: Tensor, n: int = 8) -> Tensor:
    """The first n samples, a row each, followed by their neighbours, nearest first: uint8 [3, H, W].

    samples, train: uint8 [N or M, C, h, w].   index: places in train, int64 [N, k], as `nearest` gives them.
    """
    places = index[:n].to(train.device)
    rows = [torch.cat([x[None].cpu(), train[i].cpu()]) for x, i in zip(samples[:n], places, strict=True)]
    return make_grid(to_float(torch.cat(rows)), columns=1 + index.shape[1])

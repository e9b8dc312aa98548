"""Nearest neighbours, computed block by block, and the share of samples that are copies of training images."""

import math

import torch
from torch import Tensor

from ganrun.data.images import make_grid, to_float
from ganrun.errors import UserError
from ganrun.metrics.sampling import float64_device

NEAR = 1 / 3  # of a training image's distance to its nearest other one; samples that are not copied are rarely nearer


def as_rows(x: Tensor, device: torch.device) -> Tensor:
    """Return x [N, ...] as float64 [N, d] on `device`, or on the CPU if the device has no float64."""
    return x.flatten(1).to(float64_device(device), torch.float64)


def unit_rows(images: Tensor) -> Tensor:
    """Return uint8 images [N, C, H, W] as rows of pixels from 0 to 1, float64 [N, C * H * W]."""
    return as_rows(images, images.device) / 255


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances of the rows of x [n, d] and y [m, d], both float64: [n, m].

    One matrix product, |x|^2 + |y|^2 - 2 xy, with a relative error of about 1e-15: exact for integer images, and only
    features that are closer than 1e-7 of their norms look equal. float32 would lose near-duplicates, TF32 even more;
    autocast does not change float64.
    """
    products = (x @ y.T).mul_(-2)
    return products.add_(x.square().sum(1)[:, None]).add_(y.square().sum(1)).clamp_(min=0)


def nearest_neighbours(
    x: Tensor, among: Tensor, k: int = 5, own: Tensor | None = None, block: int = 1024
) -> tuple[Tensor, Tensor]:
    """Distances, float64 [N, k], nearest first, and indices, int64 [N, k], of the k nearest rows of `among`.

    x, among: [N, ...] and [M, ...], images (uint8) or features; a memory-mapped array is read `block` rows at a time.
    own: int64 [N], the index of each row of x in `among` if it is there; a row is not its own neighbour.
    Computed on the device of x. Raises UserError if there are fewer than k neighbours.
    """
    if len(among) - (own is not None) < k:
        raise UserError(f"{len(among)} images are too few for {k} nearest neighbours; ask for fewer neighbours.")
    starts = range(0, len(x), block)
    owns = [None] * len(starts) if own is None else own.split(block)
    blocks = [_nearest_of_block(x[i : i + block], among, k, j, block) for i, j in zip(starts, owns, strict=True)]
    distances, indices = zip(*blocks, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _nearest_of_block(x: Tensor, among: Tensor, k: int, own: Tensor | None, block: int) -> tuple[Tensor, Tensor]:
    rows = as_rows(x, x.device)
    best = rows.new_full((len(rows), k), math.inf)
    index = torch.zeros_like(best, dtype=torch.long)
    for start in range(0, len(among), block):
        squared = squared_distances(rows, as_rows(among[start : start + block], x.device))
        if own is not None:
            own_column = own.to(squared.device) - start
            row = ((own_column >= 0) & (own_column < squared.shape[1])).nonzero().squeeze(1)
            squared[row, own_column[row]] = math.inf
        part, column = squared.topk(min(k, squared.shape[1]), largest=False)
        best, order = torch.cat([best, part], 1).topk(k, largest=False)
        index = torch.cat([index, column + start], 1).gather(1, order)
    return best.sqrt(), index


def relative_distances(samples: Tensor, train: Tensor, block: int = 1024) -> Tensor:
    """Ratio of two distances: sample to nearest training image t, and t to its nearest other one: float64 [N].

    samples, train: [N, ...] and [M, ...], images (uint8) or features. 0 for exact copies.
    """
    distance, index = nearest_neighbours(samples, train, 1, block=block)
    hit, back = index[:, 0].unique(return_inverse=True)
    hit = hit.to(train.device)
    other, _ = nearest_neighbours(train[hit].to(samples.device), train, 1, own=hit, block=block)
    return (distance / other[back]).masked_fill(distance == 0, 0)[:, 0]


def copy_shares(samples: Tensor, train: Tensor, block: int = 1024) -> dict[str, float]:
    """Shares, 0..1, of samples that are as close to a training image as its nearest other training image, or closer.

    samples, train: both uint8 images or both features.   near_copies: the share within a third of that distance.
    copied_share is not 0 without copying (for Gaussians 0.62 in 2 dimensions, 0.2 to 0.3 in 100): only a share above
    that of held-out images indicates copying. near_copies is close to 0 without copying, except in few dimensions.
    """
    distances = relative_distances(samples, train, block)
    limits = {"copied_share": 1, "near_copies": NEAR}
    return {name: (distances <= limit).double().mean().item() for name, limit in limits.items()}


def plot_neighbours(samples: Tensor, train: Tensor, index: Tensor, n: int = 8) -> Tensor:
    """Draw the first n samples, one per row, each followed by its neighbours, nearest first: uint8 [3, H, W].

    samples, train: uint8 [N or M, C, h, w].   index: of the neighbours in train, int64 [N, k] (`nearest_neighbours`).
    """
    indices = index[:n].to(train.device)
    rows = [torch.cat([x[None].cpu(), train[i].cpu()]) for x, i in zip(samples[:n], indices, strict=True)]
    return make_grid(to_float(torch.cat(rows)), columns=1 + index.shape[1])

"""Pairs of values of a code that are some gap apart: those of independent pairs that differ by at least the gap."""

from math import sqrt

import torch
from torch import Tensor
from torch.special import ndtr, ndtri

from ganrun.networks.conditional import one_hot


def categories_apart(first: Tensor, gap: Tensor) -> Tensor:
    """Return pairs of equally likely categories, which differ if the gap is above 0: one-hot [n, 2, size].

    first: categories [n, size], the first of each pair.  gap: scalar.
    """
    chances = torch.rand(first.shape, dtype=torch.float32, device=first.device) - first * (gap > 0)
    return torch.stack([first, one_hot(chances.argmax(1), first.shape[1], first)], dim=1)


def uniform_apart(x: Tensor, gap: Tensor) -> Tensor:
    """Return pairs of U(-1, 1) that differ by at least the gap: [n, 2].

    x: independent pairs of U(-1, 1).  gap: scalar from 0 to 2.
    Lin et al. 2020, authors' code: a pair in the shorter interval (-1 + gap / 2, 1 - gap / 2) is moved apart.
    """
    difference = x[:, :1] - x[:, 1:]
    shift = torch.copysign(gap / 2, difference)
    return x * (1 - gap / 2) + torch.cat([shift, -shift], dim=1)


def normal_apart(x: Tensor, gap: Tensor) -> Tensor:
    """Return pairs of N(0, 1) that differ by at least the gap: [n, 2], computed in float32 or more.

    x: independent pairs of N(0, 1).  gap: scalar.
    Sum and difference, over sqrt 2, are independent and N(0, 1); the quantile of the difference is scaled to its tail.
    """
    exact = x.to(torch.promote_types(x.dtype, torch.float32))
    total, difference = exact.sum(1) / sqrt(2), (exact[:, 0] - exact[:, 1]) / sqrt(2)
    tail = ndtr(-difference.abs()) * 2 * ndtr(-gap.to(exact) / sqrt(2))
    difference = torch.copysign(ndtri(tail), difference)
    return (torch.stack([total + difference, total - difference], dim=1) / sqrt(2)).to(x)

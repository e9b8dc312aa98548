"""Distributions of latents. `generator`: of the CPU, so that latents do not depend on device or precision."""

import torch
from torch import Tensor


def normal(n: int, dim: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Sample z ~ N(0, I): [n, dim], with the dtype and device of `like`."""
    return _sample(torch.randn, n, dim, like, generator)


def uniform(n: int, dim: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Sample z ~ U(-1, 1): [n, dim], with the dtype and device of `like`."""
    return _sample(torch.rand, n, dim, like, generator) * 2 - 1


def category(n: int, dim: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Sample one of `dim` values, all equally likely, as a row with a single 1: [n, dim], as `like`."""
    value = (_sample(torch.rand, n, 1, like, generator) * dim).long().clamp(max=dim - 1)
    return (value == torch.arange(dim, device=like.device)).to(like.dtype)


def _sample(sampler, n: int, dim: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return sampler(n, dim, dtype=like.dtype, device=like.device)
    return sampler(n, dim, dtype=torch.float32, generator=generator).to(like)

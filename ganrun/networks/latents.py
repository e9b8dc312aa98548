"""Laws that latents are drawn from.

A generator given is a CPU one, and the draw is made there in float32, so that it is the same whatever the device and
the precision.
"""

import torch
from torch import Tensor


def normal(n: int, dim: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z ~ N(0, I): [n, dim], of the type and on the device of `like`."""
    return _drawn(torch.randn, n, dim, like, generator)


def uniform(n: int, dim: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """z ~ U(-1, 1): [n, dim], of the type and on the device of `like`."""
    return _drawn(torch.rand, n, dim, like, generator) * 2 - 1


def _drawn(draw, n: int, dim: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return draw(n, dim, dtype=like.dtype, device=like.device)
    return draw(n, dim, dtype=torch.float32, generator=generator).to(like)

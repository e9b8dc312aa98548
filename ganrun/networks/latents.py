"""Laws that latents are drawn from.

A generator given is a CPU one, and the draw is made there, so that it is the same whatever the device.
"""

import torch
from torch import Tensor


def normal(n: int, dim: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """z ~ N(0, I): [n, dim]."""
    return torch.randn(n, dim, device=device if generator is None else "cpu", generator=generator).to(device)


def uniform(n: int, dim: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """z ~ U(-1, 1): [n, dim]."""
    return torch.rand(n, dim, device=device if generator is None else "cpu", generator=generator).to(device) * 2 - 1

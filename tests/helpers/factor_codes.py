"""Made-up factors, and codes that know them in known ways."""

import torch
from torch import Tensor

SIZES = (2, 3, 4)  # values of each factor


def draw_independent(n: int = 2000, seed: int = 0) -> Tensor:
    """Return independent factors, int64 [n, 3]."""
    stream = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(size, (n,), generator=stream) for size in SIZES], dim=1)


def standardized(factors: Tensor) -> Tensor:
    """Return one code of each factor, of mean 0 and variance 1: float64 [n, k]."""
    values = factors.double()
    return (values - values.mean(0)) / values.std(0)


def rotated(codes: Tensor, first: int = 0, second: int = 1) -> Tensor:
    """Return the codes with two of them rotated by 45 degrees: their sum and difference over the square root of 2."""
    a, b, turned = codes[:, first], codes[:, second], codes.clone()
    turned[:, first], turned[:, second] = (a - b) / 2**0.5, (a + b) / 2**0.5
    return turned


def random_codes(n: int = 2000, d: int = 3, seed: int = 1) -> Tensor:
    """Return codes that know nothing: float64 [n, d]."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

"""The mutual information gap: whether one code alone knows each factor."""

import math

import torch
from torch import Tensor

from ganrun.metrics.scores import Score

BINS = 20  # of each code, between its extremes
MIG = Score(
    "mig",
    better="higher",
    note="what the best code knows of a factor more than the second, {mig_bins} bins",
    settings=lambda samples: {"mig_bins": BINS},
)


def mutual_information_gap(codes: Tensor, factors: Tensor) -> float:
    """Return the mean over factors v of (I(z1; v) - I(z2; v)) / H(v), z1 and z2 being the codes with most of it: 0..1.

    codes: [n, d]; a second code that is missing knows nothing.   factors: whole numbers, int64 [n, k].
    Chen et al. 2018, section 4, from counts, as in Locatello et al. 2019, appendix B: each code in 20 bins of equal
    width, and means of codes instead of samples. NaN if a factor has a single value.
    """
    lowest, highest = codes.aminmax(dim=0)
    width = (highest - lowest) / BINS
    bins = ((codes - lowest) / torch.where(width > 0, width, 1)).long().clamp(max=BINS - 1)
    pairs = [[mutual_information(code, factor) for code in bins.T] for factor in factors.T]
    best = torch.tensor([[0.0, *of_factor] for of_factor in pairs], dtype=torch.float64).sort(descending=True).values
    gaps = [(best[j, 0] - best[j, 1]).item() for j in range(len(pairs))]
    entropies = [entropy(factor) or math.nan for factor in factors.T]
    return sum(gap / h for gap, h in zip(gaps, entropies, strict=True)) / len(gaps)


def mutual_information(a: Tensor, b: Tensor) -> float:
    """Return I(a; b) in nats of whole numbers, int64 [n] each, from the shares of their values."""
    return entropy(a) + entropy(b) - entropy(a * (int(b.max()) + 1) + b)


def entropy(values: Tensor) -> float:
    """Return the entropy in nats of whole numbers, int64 [n], from the shares of their values."""
    shares = values.bincount().double() / len(values)
    return abs(torch.special.xlogy(shares, shares).sum().item())

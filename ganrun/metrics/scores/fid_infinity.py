"""The Frechet distance that infinitely many samples would have."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics.reference_stats import Statistics
from ganrun.metrics.sampling import float64_device
from ganrun.metrics.scores.frechet import cholesky_factor, moments, trace_of_sqrt


def extrapolated_distance(features: Tensor, real: Statistics, generator: torch.Generator, points: int = 15) -> float:
    """The Frechet distance at 1/n = 0 of the line through the distances of n samples over 1/n.

    features: of the samples, [M, d].   generator: CPU; draws the samples' order.   points: how many values of n.
    Chong & Forsyth 2020, section 3. The bias of the distance is linear in 1/n to first order; it is taken out for the
    samples only, the real examples being the same at every n. Departure: the paper shuffles anew for each n; here the
    first n of one order are taken, so that each sample is added up once. The noise of the answer is the same.
    """
    counts = sample_counts(*features.shape, points)
    order = torch.randperm(len(features), generator=generator).to(features.device)
    found = torch.stack(list(growing_distances(features[order], counts, real)))
    return intercept(1 / counts.double(), found.cpu())


def sample_counts(samples: int, d: int, points: int = 15) -> Tensor:
    """Increasing counts, evenly spaced, the last one all samples: int64 [at most points].

    They start at a tenth of the samples (the paper's 5,000 of 50,000), but where possible not below 2d and in no case
    above a half: with n near d or below the distance is no line in 1/n. Raises UserError for fewer than 4 samples.
    """
    if samples < 4:
        raise UserError(
            f"metrics.samples={samples} is too few to extrapolate from: 4 are needed, some thousands wanted."
        )
    first = max(samples // 10, min(2 * d, samples // 2))
    return torch.linspace(first, samples, points, dtype=torch.float64).round().long().unique()


def growing_distances(features: Tensor, counts: Tensor, real: Statistics) -> Iterator[Tensor]:
    """Frechet distances of the first n features from the real ones, for each n of counts: scalars."""
    device = float64_device(features.device)
    mean, covariance = (x.to(device) for x in moments(real.total, real.outer, real.count))
    factor = cholesky_factor(covariance)  # once for all counts
    total, outer, done = torch.zeros_like(mean), torch.zeros_like(covariance), 0
    for n in counts.tolist():
        part = features[done:n].to(device, torch.float64)
        total, outer, done = total + part.sum(0), outer + part.T @ part, n
        fake_mean, fake_covariance = moments(total, outer, torch.tensor(n))
        trace = covariance.trace() + fake_covariance.trace() - 2 * trace_of_sqrt(factor, fake_covariance)
        yield (mean - fake_mean).square().sum() + trace


def intercept(x: Tensor, y: Tensor) -> float:
    """Value at x = 0 of the line through the points (x, y) [n] that has the least squared error."""
    away = x - x.mean()
    slope = (away * y).sum() / away.square().sum()
    return (y.mean() - slope * x.mean()).item()

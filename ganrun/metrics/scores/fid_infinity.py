"""The Frechet distance extrapolated to infinitely many samples (FID-infinity). Chong & Forsyth 2020."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.errors import UserError
from ganrun.metrics.sampling import float64_device
from ganrun.metrics.score_inputs import ScoreInputs, Statistics
from ganrun.metrics.scores import score
from ganrun.metrics.scores.frechet import cholesky_factor, frechet_distance, moments


@score("fd_infinity", better="lower", needs=("features",), note="extrapolated, against {reference:,} real")
def fid_infinity(inputs: ScoreInputs) -> float:
    if len(inputs.features) < 4:
        return math.nan
    return extrapolated_distance(inputs.features, inputs.real, seeds.generator(0))


def extrapolated_distance(features: Tensor, real: Statistics, generator: torch.Generator, points: int = 15) -> float:
    """Fit a line to the Frechet distances of n samples as a function of 1/n; return its value at 1/n = 0.

    features: of the samples, [M, d].   generator: on the CPU; shuffles the samples.   points: number of values of n.
    Chong & Forsyth 2020, section 3; it removes the samples' bias alone. Departure: the paper shuffles for each n; here
    the first n of one order are used, so that each sample is added up once. The result is as noisy.
    """
    counts = sample_counts(len(features), features.shape[1], points)
    order = torch.randperm(len(features), generator=generator).to(features.device)
    values = torch.stack(list(growing_distances(features[order], counts, real)))
    return intercept(1 / counts.double(), values.cpu())


def sample_counts(samples: int, d: int, points: int = 15) -> Tensor:
    """Increasing, evenly spaced counts up to all samples: int64 [at most points].

    The first is a tenth of the samples (the paper: 5,000 of 50,000), raised to 2d where possible but to no more than
    half of them: for n near or below d the distance is not linear in 1/n. Raises UserError for fewer than 4 samples.
    """
    if samples < 4:
        need = "at least 4 (thousands to be useful)"
        raise UserError(f"metrics.samples={samples} is too few for fd_infinity, which needs {need}.")
    first = max(samples // 10, min(2 * d, samples // 2))
    return torch.linspace(first, samples, points, dtype=torch.float64).round().long().unique()


def growing_distances(features: Tensor, counts: Tensor, real: Statistics) -> Iterator[Tensor]:
    """Yield the Frechet distance of the first n features from the real ones for each n in counts: scalars."""
    device = float64_device(features.device)
    mean, covariance = (x.to(device) for x in moments(real.total, real.outer, real.count))
    factor = cholesky_factor(covariance)  # the same for all counts
    total, outer, done = torch.zeros_like(mean), torch.zeros_like(covariance), 0
    for n in counts.tolist():
        part = features[done:n].to(device, torch.float64)
        total, outer, done = total + part.sum(0), outer + part.T @ part, n
        fake_mean, fake_covariance = moments(total, outer, torch.tensor(n))
        yield frechet_distance(mean, covariance, fake_mean, fake_covariance, factor)


def intercept(x: Tensor, y: Tensor) -> float:
    """Value at x = 0 of the least-squares line through the points (x, y), both [n]."""
    away = x - x.mean()
    slope = (away * y).sum() / away.square().sum()
    return (y.mean() - slope * x.mean()).item()

"""Number of statistically different bins (NDB): which clusters of the real images get too many or too few samples."""

import math

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.nearest import squared_distances, unit_rows

BINS = 100  # Richardson & Weiss 2018
LEVEL = 1.959963984540054  # |z| beyond which two shares differ at the paper's significance level of 0.05
ITERATIONS = 50  # of k-means, at most


@score(
    "ndb",
    better={"ndb": "lower", "ndb_divergence": "lower"},
    needs=("images",),
    note="share of {ndb_bins} k-means bins of pixels whose shares differ (5 % level); Jensen-Shannon divergence",
    settings=lambda samples: {"ndb_bins": BINS},
)
def ndb_of_samples(inputs: ScoreInputs) -> tuple[float, float]:
    if min(len(inputs.images), len(inputs.real_images)) < BINS:
        return math.nan, math.nan
    real, fake = unit_rows(inputs.real_images), unit_rows(inputs.images)
    centers = kmeans(real, BINS, seeds.generator(4))
    real_counts, fake_counts = (nearest_center(x, centers).bincount(minlength=BINS) for x in (real, fake))
    return different_bins(real_counts, fake_counts) / BINS, jensen_shannon(real_counts, fake_counts)


def kmeans(x: Tensor, k: int, generator: torch.Generator, iterations: int = ITERATIONS) -> Tensor:
    """Return the k centers [k, d] of Lloyd's algorithm on x [N, d], float64, from k different random rows.

    Stops when no center moves. A center without rows stays where it is.
    """
    centers = x[torch.randperm(len(x), generator=generator)[:k].to(x.device)]
    for _ in range(iterations):
        nearest = nearest_center(x, centers)
        counts = nearest.bincount(minlength=k)
        sums = torch.zeros_like(centers).index_add_(0, nearest, x)
        moved = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centers)
        if torch.equal(moved, centers):
            break
        centers = moved
    return centers


def nearest_center(x: Tensor, centers: Tensor, block: int = 4096) -> Tensor:
    """Return the index of the nearest center [k, d] to each row of x [N, d]: int64 [N]."""
    return torch.cat([squared_distances(rows, centers).argmin(1) for rows in x.split(block)])


def different_bins(real: Tensor, fake: Tensor) -> int:
    """Return in how many bins the shares of two sets differ by the two-proportion z-test at the 5 % level.

    real, fake: counts by bin, int64 [K].  Richardson & Weiss 2018, section 3 and appendix: pooled variance.
    """
    n, m = real.sum().double(), fake.sum().double()
    pooled = (real + fake) / (n + m)
    deviation = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return int(((real / n - fake / m).abs() > LEVEL * deviation).sum())


def jensen_shannon(real: Tensor, fake: Tensor) -> float:
    """Return the Jensen-Shannon divergence of two histograms [K] in nats: 0 to log 2."""
    p, q = real.double() / real.sum(), fake.double() / fake.sum()
    middle = (p + q) / 2
    return sum(torch.xlogy(r, r / middle.clamp(min=1e-300)).sum().item() for r in (p, q)) / 2

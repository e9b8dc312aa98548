"""Precision, recall, density and coverage: to what extent two sets of features cover each other."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.nearest import as_rows, squared_distances

NEIGHBOURS = 5  # Naeem et al. 2020
# Balls are open, as in Naeem et al.'s code. The margin keeps rounding from deciding about copies of real images, which
# lie on the surfaces of their neighbours' balls.
INNER = 1 - 1e-9


@score(
    "prdc",
    better={"precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher"},
    needs=("features",),
    has_baseline=True,
    note="k = {prdc_k}, against {kid_prdc_reference:,} real",
    settings=lambda samples: {"prdc_k": NEIGHBOURS},
)
def prdc_of_samples(inputs: ScoreInputs) -> tuple[float, ...]:
    real, fake = inputs.real, inputs.features
    if min(len(fake), len(real.features)) <= NEIGHBOURS:
        return (math.nan,) * 4
    return tuple(prdc(real.features, fake, NEIGHBOURS, real_radii=real.radii if len(real.radii) else None).values())


def row_blocks(x: Tensor, block: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield x [N, d] in float64 blocks of `block` rows, each with its slice of x."""
    for start in range(0, len(x), block):
        yield slice(start, start + block), as_rows(x[start : start + block], x.device)


def knn_radii(x: Tensor, k: int = 5, block: int = 1024) -> Tensor:
    """Distance of each row of x [N, d] to its k-th nearest other row: float64 [N]. Raises UserError if N <= k.

    Each pair of blocks is computed once and used for both sides. Memory: a few blocks of `block` x `block`.
    """
    if len(x) <= k:
        raise UserError(f"{len(x)} samples are too few for {k} nearest neighbours each; give at least {k + 1}.")
    best = as_rows(x[:0], x.device).new_full((len(x), k), math.inf)
    for here, rows in row_blocks(x, block):
        for there, others in row_blocks(x[: here.stop], block):
            squared = squared_distances(rows, others)
            if here == there:
                squared.fill_diagonal_(math.inf)
            else:
                best[there] = k_smallest(best[there], squared.T, k)
            best[here] = k_smallest(best[here], squared, k)
    return best.amax(1).sqrt()


def k_smallest(best: Tensor, more: Tensor, k: int) -> Tensor:
    """Return the k smallest values in each row of best [n, k] and more [n, m]: [n, k]."""
    part = more.topk(min(k, more.shape[1]), largest=False).values
    return torch.cat([best, part], 1).topk(k, largest=False).values


def prdc(
    real: Tensor, fake: Tensor, k: int = 5, block: int = 1024, real_radii: Tensor | None = None
) -> dict[str, float]:
    """Precision and recall (Kynkaanniemi et al. 2019, eq. 2, there k = 3), density and coverage (Naeem et al. 2020).

    real: [N, d].   fake: [M, d].   k: balls reach to the k-th neighbour.   real_radii: `knn_radii(real, k)`, if known.
    Distances are float64 on the features' device, a few blocks of `block` x `block` at a time.
    precision, recall and coverage lie in 0..1; density may exceed 1.
    """
    real_balls = (knn_radii(real, k, block) if real_radii is None else real_radii).square() * INNER
    fake_balls = knn_radii(fake, k, block).square() * INNER
    real_balls = real_balls.to(fake_balls.device)
    containing = torch.zeros_like(fake_balls, dtype=torch.long)  # number of real balls around each fake
    is_covered, is_recalled = torch.zeros(2, len(real), dtype=torch.bool, device=fake_balls.device)
    for here, rows in row_blocks(real, block):
        for there, columns in row_blocks(fake, block):
            squared = squared_distances(rows, columns)
            inside = squared < real_balls[here, None]
            containing[there] += inside.sum(0)
            is_covered[here] |= inside.any(1)
            is_recalled[here] |= (squared < fake_balls[there]).any(1)
    return {
        "precision": (containing > 0).double().mean().item(),
        "recall": is_recalled.double().mean().item(),
        "density": containing.double().mean().item() / k,
        "coverage": is_covered.double().mean().item(),
    }

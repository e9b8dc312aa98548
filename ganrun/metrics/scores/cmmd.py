"""The CLIP maximum mean discrepancy (CMMD). Jayasumana et al. 2024."""

import torch
from torch import Tensor

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.nearest import squared_distances
from ganrun.metrics.scores.prdc import row_blocks

SIGMA, SCALE = 10, 1000  # the width of the kernel and the factor of the paper


@score(
    "cmmd",
    better="lower",
    needs=("features",),
    has_baseline=True,
    extractors=("clip",),
    note="kernel of width {cmmd_sigma}, times {cmmd_scale:,}, against {kid_prdc_reference:,} real",
    settings=lambda samples: {"cmmd_sigma": SIGMA, "cmmd_scale": SCALE},
)
def cmmd(inputs: ScoreInputs) -> float:
    return SCALE * squared_mmd(inputs.real.features, inputs.features, SIGMA)


def squared_mmd(x: Tensor, y: Tensor, sigma: float, block: int = 1024) -> float:
    """Squared maximum mean discrepancy of x [N, d] and y [M, d] by the kernel exp(-|a - b|^2 / (2 sigma^2)).

    Gretton et al. 2012, eq. 5, as in the code of Jayasumana et al.: means over all pairs, those of a row with itself
    included. It is never negative, and above the unbiased estimate by less than 1/N + 1/M. float64, in blocks.
    """
    between, within_x, within_y = (mean_dissimilarity(*pair, sigma, block) for pair in ((x, y), (x, x), (y, y)))
    return 2 * between - within_x - within_y


def mean_dissimilarity(x: Tensor, y: Tensor, sigma: float, block: int) -> float:
    """Mean of 1 - kernel over all pairs of a row of x and one of y. It keeps the digits that 1 would round away."""
    sums = [
        -torch.expm1(squared_distances(rows, others) / (-2 * sigma**2)).sum()
        for _, rows in row_blocks(x, block)
        for _, others in row_blocks(y, block)
    ]
    return torch.stack(sums).sum().item() / (len(x) * len(y))

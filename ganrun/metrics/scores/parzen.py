"""Log-likelihood of real images under a Gaussian Parzen window of the samples, as in the first papers on GANs.

Kept for comparisons with those papers only: in many dimensions it says little about sample quality or likelihood, and
k-means centers of the training images score better than the data themselves (Theis et al. 2016, section 3.2).
"""

import math

import torch
from torch import Tensor

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.nearest import squared_distances, unit_rows

VALIDATION = 1000  # real images that choose the width of the window; the others are scored
WIDTHS = tuple(10 ** (-1 + i / 9) for i in range(10))  # 0.1 to 1 in pixels of 0..1, as in the authors' code


@score(
    "parzen",
    better={"parzen": "higher", "parzen_deviation": ""},
    needs=("images",),
    note="nats, pixels 0..1, width chosen on {parzen_validation:,} real; a weak score, see docs",
    settings=lambda samples: {"parzen_validation": VALIDATION},
)
def parzen_of_samples(inputs: ScoreInputs) -> tuple[float, float]:
    count = min(VALIDATION, len(inputs.real_images) // 2)
    if not count or not len(inputs.images):
        return math.nan, math.nan
    real, samples = unit_rows(inputs.real_images), unit_rows(inputs.images)
    validation = log_likelihoods(real[:count], samples, WIDTHS).mean(1)
    scored = log_likelihoods(real[count:], samples, [WIDTHS[int(validation.argmax())]])[0]
    return scored.mean().item(), (scored.std() / math.sqrt(len(scored))).item()


def log_likelihoods(x: Tensor, samples: Tensor, widths: tuple[float, ...] | list[float], block: int = 512) -> Tensor:
    """Return log p(x) in nats under the mean of Gaussians N(sample, width^2 I): float64 [W, N], one row per width.

    x: [N, d].  samples: [M, d].  Goodfellow et al. 2014, section 5; Breuleux et al. 2011.
    """
    d, parts = x.shape[1], []
    for rows in x.split(block):
        squared = squared_distances(rows, samples)
        exponents = [torch.logsumexp(squared / (-2 * width**2), 1) for width in widths]
        parts.append(torch.stack(exponents))
    normalizers = [math.log(len(samples)) + d * math.log(width * math.sqrt(2 * math.pi)) for width in widths]
    return torch.cat(parts, 1) - torch.tensor(normalizers, dtype=x.dtype, device=x.device)[:, None]

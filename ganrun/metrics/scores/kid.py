"""The kernel distance (KID). Binkowski et al. 2018."""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.frechet import IdentityFeatures

SUBSETS, SUBSET_SIZE = 100, 1000  # the defaults of torch-fidelity and torchmetrics


@score(
    "kid",
    better={"kid": "lower", "kid_deviation": ""},
    needs=("features",),
    has_baseline=True,
    note="{kid_subsets} subsets of {kid_subset_size:,}, against {kid_prdc_reference:,} real",
    settings=lambda samples: {"kid_subsets": SUBSETS, "kid_subset_size": min(SUBSET_SIZE, samples)},
)
def kid(inputs: ScoreInputs) -> tuple[float, ...]:
    """Mean and standard deviation over the subsets."""
    return kernel_distance(inputs.real.features, inputs.features)


def kernel_distance(
    real: Tensor, fake: Tensor, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE
) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the kernel distance of real [N, d] and fake [M, d] features.

    Binkowski et al. 2018, by torchmetrics: unbiased estimate of MMD^2 with the cubic kernel (x y / d + 1)^3. A subset
    is at most as large as the smaller set. The deviation is of one subset's estimate, not the error of the mean; it
    tends to 0 as the subsets approach the size of the set. Draws from torch's global stream.
    """
    size = min(subset_size, len(real), len(fake))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
        metric = KernelInceptionDistance(IdentityFeatures(real.shape[1]), subsets, size, sync_on_compute=False)
    metric.to(real.device)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    with torch.autocast(real.device.type, enabled=False):
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()

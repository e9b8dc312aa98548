"""The kernel distance (KID). Binkowski et al. 2018."""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.utilities.data import dim_zero_cat

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


class KernelDistance(KernelInceptionDistance):
    """torchmetrics' KID on features [N, d] instead of images; subsets are at most as large as the smaller set.

    Binkowski et al. 2018: cubic kernel (x y / d + 1)^3, unbiased estimate of MMD^2 on random subsets, mean and standard
    deviation over them. The deviation is that of a single subset's estimate and not the error of the mean: it tends to
    0 as the subsets approach the size of the set.
    Draws from torch's global stream. Under DDP each process updates with its share of the real features too; `reset`
    keeps them.
    """

    def __init__(self, num_features: int, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, **options):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            super().__init__(IdentityFeatures(num_features), subsets, subset_size, reset_real_features=False, **options)
        self.wanted_size = subset_size
        # torchmetrics gathers batch by batch, which fails if one process has more batches than another.
        for name in ("real_features", "fake_features"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def compute(self) -> tuple[Tensor, Tensor]:
        real, fake = dim_zero_cat(self.real_features), dim_zero_cat(self.fake_features)
        self.subset_size = min(self.wanted_size, len(real), len(fake))
        with torch.autocast(real.device.type, enabled=False):
            return super().compute()


def kernel_distance(
    real: Tensor, fake: Tensor, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE
) -> tuple[float, float]:
    """Mean and standard deviation over the subsets of the kernel distance of real [N, d] and fake [M, d] features.

    Draws from torch's global stream.
    """
    metric = KernelDistance(real.shape[1], subsets, subset_size, sync_on_compute=False).to(real.device)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    mean, deviation = metric.compute()
    return mean.item(), deviation.item()

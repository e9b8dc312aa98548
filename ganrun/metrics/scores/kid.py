"""The kernel distance (KID) of two sets of features."""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.utilities.data import dim_zero_cat

from ganrun.metrics.scores.frechet import IdentityFeatures

SUBSETS, SUBSET_SIZE = 100, 1000  # torch-fidelity's and torchmetrics'


class KernelDistance(KernelInceptionDistance):
    """torchmetrics' KID on features [N, d] instead of images; the subsets are never larger than the smaller set.

    Binkowski et al. 2018: cubic kernel (x y / d + 1)^3, unbiased estimate of MMD^2 on random subsets, mean and
    deviation over them. The deviation is that of one subset's estimate and misses its share of what all subsets have
    in common: as subsets reach the size of a set, it tends to 0 and says nothing of the mean.
    Draws from torch's global stream. Under DDP each process updates with its share, of real features as well; they are
    kept over `reset`.
    """

    def __init__(self, num_features: int, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, **options):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save all")
            super().__init__(IdentityFeatures(num_features), subsets, subset_size, reset_real_features=False, **options)
        self.wanted_size = subset_size
        # torchmetrics gathers batch by batch, which fails when one process has had more batches than another.
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
    """Mean and deviation over the subsets of the kernel distance of real [N, d] and fake [M, d].

    Draws from torch's global stream.
    """
    metric = KernelDistance(real.shape[1], subsets, subset_size, sync_on_compute=False).to(real.device)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    mean, deviation = metric.compute()
    return mean.item(), deviation.item()

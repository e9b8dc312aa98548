"""How many of the 1,000 modes of stacked digits the samples cover."""

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.metrics.scores import Score

MODES = 1000
STACKED_MODES = Score("modes", better="higher", note="of {modes:,}")
STACKED_KL = Score("reverse_kl", better="lower", note="{direction}, nats")


class StackedCoverage(Metric):
    """Counts samples in the 1,000 modes and derives two numbers from the counts.

    Modes: Metz et al. 2017 (Unrolled GAN). KL from the generated distribution to the data's: Lin et al. 2018 (PacGAN),
    whose code assumes that the data are uniform.
    """

    counts: Tensor

    def __init__(self, distribution: Tensor, **options):
        """distribution: [1000], shares of the modes in the data."""
        super().__init__(**options)
        self.distribution = distribution.double().cpu()
        self.add_state("counts", torch.zeros(MODES, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, modes: Tensor) -> None:
        """modes: int64 [N], 0..999."""
        self.counts += torch.bincount(modes.to(self.device), minlength=MODES)

    def compute(self) -> dict[str, Tensor]:
        """modes: number with a sample.   reverse_kl: KL(generated || data), nats; Inf for a mode that the data lack."""
        is_hit = self.counts > 0
        share, real = self.counts[is_hit].double() / self.counts.sum(), self.distribution.to(self.device)[is_hit]
        return {"modes": is_hit.sum(), "reverse_kl": (share * (share / real).log()).sum()}

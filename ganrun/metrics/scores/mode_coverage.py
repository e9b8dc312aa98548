"""How well samples cover the modes of a Gaussian mixture."""

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.metrics.scores import Score

REACH = 3.0  # of a mode, in its standard deviations, unless the data set has its own number
MODES = Score("modes", better="higher", note="of {modes}, with a sample within {near}")
HIGH_QUALITY = Score("high_quality", better="higher", note="share within {near} of a mode")
REVERSE_KL = Score("reverse_kl", better="lower", note="KL(nearest modes || equal shares), nats")
MODE_OVERLAP = Score("mode_overlap", better="higher", note="sum of min(share at a mode, equal share)")


class ModeCoverage(Metric):
    """Counts samples at the modes of a mixture and derives four numbers from the counts.

    Modes and high-quality share: Srivastava et al. 2017 (VEEGAN). Reverse KL over the modes: Lin et al. 2018 (PacGAN),
    here relative to the true, equal shares. The overlap is ours.
    """

    centers: Tensor
    near: Tensor
    nearest: Tensor

    def __init__(self, centers: Tensor, sigma: float, reach: float = REACH, **options):
        """centers: [K, d], equally likely.   sigma: their standard deviation.   reach: of a mode, in sigma."""
        super().__init__(**options)
        self.centers, self.reach = centers.double().cpu(), reach * sigma
        for name in ("near", "nearest"):
            self.add_state(name, torch.zeros(len(centers), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """points: [N, d]."""
        distance, mode = torch.cdist(points.to(self.device).double(), self.centers.to(self.device)).min(1)
        self.nearest += torch.bincount(mode, minlength=len(self.centers))
        self.near += torch.bincount(mode[distance <= self.reach], minlength=len(self.centers))

    def compute(self) -> dict[str, Tensor]:
        """modes: number with a sample within reach.   high_quality: share of samples within reach of a mode.

        reverse_kl: KL(shares of the modes || equal shares), 0..log K nats; each sample counts for its nearest mode.
        mode_overlap: sum over the modes of min(share of samples within reach, 1/K), 0..1. It is 1 minus the total
        variation distance from equal shares, if samples out of reach count as one more outcome.
        """
        count, modes = self.nearest.sum(), len(self.centers)
        at, share = self.near.double() / count, self.nearest.double() / count
        return {
            "modes": (self.near > 0).sum(),
            "high_quality": self.near.sum() / count,
            "reverse_kl": torch.special.xlogy(share, share * modes).sum(),
            "mode_overlap": at.clamp(max=1 / modes).sum(),
        }

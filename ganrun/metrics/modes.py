"""How much of a mixture of Gaussians the samples cover."""

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.errors import UserError
from ganrun.metrics.drawing import Finite, apart, counting_device, generated, or_nan, seed_of_scores

NEAR = 3  # a sample belongs to a mode within so many of its standard deviations


class ModeCoverage(Metric):
    """Counts of samples at the modes of a mixture, and the four numbers made of them.

    Modes and high-quality share: Srivastava et al. 2017 (VEEGAN). Reverse KL over the modes: Lin et al. 2018 (PacGAN),
    here against the true, equal shares. The overlap is ours.
    """

    def __init__(self, centers: Tensor, sigma: float, **options):
        """centers: [K, 2], equally likely.   sigma: their common standard deviation."""
        super().__init__(**options)
        self.centers, self.sigma = centers.double().cpu(), sigma
        self.add_state("near", torch.zeros(len(centers), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("nearest", torch.zeros(len(centers), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """points: [N, 2]."""
        distance, mode = torch.cdist(points.to(self.device).double(), self.centers.to(self.device)).min(1)
        self.nearest += torch.bincount(mode, minlength=len(self.centers))
        self.near += torch.bincount(mode[distance <= NEAR * self.sigma], minlength=len(self.centers))

    def compute(self) -> dict[str, Tensor]:
        """modes: how many have a sample within 3 sigma.   high_quality: share of samples within 3 sigma of a mode.

        reverse_kl: KL(shares of the modes || equal shares), 0..log K nats, each sample counting for its nearest mode.
        mode_overlap: sum over the modes of min(share of samples within 3 sigma, 1/K), in 0..1: one minus the total
        variation distance from equal shares, what lies beside the modes being an outcome of its own.
        """
        count, modes = self.nearest.sum(), len(self.centers)
        at, share = self.near / count, self.nearest / count
        return {
            "modes": (self.near > 0).sum(),
            "high_quality": at.sum(),
            "reverse_kl": torch.special.xlogy(share, share * modes).sum(),
            "mode_overlap": at.clamp(max=1 / modes).sum(),
        }


class Modes:
    """Scores of generated points against the mixture that the data is."""

    def __init__(self, monitor: str, mode: str, samples: int, batch_size: int = 2500):
        self.monitor, self.mode, self.samples, self.batch_size = monitor, mode, samples, batch_size

    def prepare(self, data, device: torch.device | None = None) -> None:
        """Raises UserError for data without known modes."""
        if getattr(data.source, "centers", None) is None:
            raise UserError(
                f"metrics=modes counts the modes of a mixture: data=ring or data=grid, not data={data.name}."
            )

    def protocol(self, data, samples: int | None = None) -> dict:
        """How the scores come about; numbers of different protocols are not to be compared."""
        return {
            "samples": samples or self.samples,
            "modes": len(data.source.centers),
            "sigma": float(data.source.sigma),
            "near": f"{NEAR} sigma",
        }

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives."""
        return [f"val/{name}" for name in ("modes", "high_quality", "reverse_kl", "mode_overlap")]

    def score(self, model, data, samples: int | None = None, seed: int = 0) -> dict[str, float]:
        """The scores of `samples` samples, the same for the same seed."""
        self.prepare(data)
        coverage = ModeCoverage(data.source.centers, data.source.sigma).to(counting_device(model.device))
        finite = Finite().to(counting_device(model.device))
        with apart(seed_of_scores(seed)):
            for x, _ in generated(model, data, samples or self.samples, self.batch_size, seed):
                finite.update(x.to(finite.device))
                coverage.update(x.nan_to_num())
            return or_nan({f"val/{name}": value.item() for name, value in coverage.compute().items()}, finite)

"""How much of a mixture of Gaussians the samples cover."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.errors import UserError
from ganrun.metrics.sampling import (
    AllFinite,
    float64_device,
    generate_batches,
    isolated_rng,
    nan_unless_finite,
    scoring_seed,
)

NEAR = 3  # a sample belongs to a mode within so many of its standard deviations, unless the data tell their own number


class ModeCoverage(Metric):
    """Counts of samples at the modes of a mixture, and the four numbers made of them.

    Modes and high-quality share: Srivastava et al. 2017 (VEEGAN). Reverse KL over the modes: Lin et al. 2018 (PacGAN),
    here against the true, equal shares. The overlap is ours.
    """

    def __init__(self, centers: Tensor, sigma: float, near: float = NEAR, **options):
        """centers: [K, d], equally likely.   sigma: their standard deviation.   near: reach of a mode in sigma."""
        super().__init__(**options)
        self.centers, self.reach = centers.double().cpu(), near * sigma
        self.add_state("near", torch.zeros(len(centers), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("nearest", torch.zeros(len(centers), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, points: Tensor) -> None:
        """points: [N, d]."""
        distance, mode = torch.cdist(points.to(self.device).double(), self.centers.to(self.device)).min(1)
        self.nearest += torch.bincount(mode, minlength=len(self.centers))
        self.near += torch.bincount(mode[distance <= self.reach], minlength=len(self.centers))

    def compute(self) -> dict[str, Tensor]:
        """modes: how many have a sample within reach.   high_quality: share of samples within reach of a mode.

        reverse_kl: KL(shares of the modes || equal shares), 0..log K nats, each sample counting for its nearest mode.
        mode_overlap: sum over the modes of min(share of samples within reach, 1/K), in 0..1: one minus the total
        variation distance from equal shares, what lies beside the modes being an outcome of its own.
        """
        count, modes = self.nearest.sum(), len(self.centers)
        at, share = self.near.double() / count, self.nearest.double() / count
        return {
            "modes": (self.near > 0).sum(),
            "high_quality": self.near.sum() / count,
            "reverse_kl": torch.special.xlogy(share, share * modes).sum(),
            "mode_overlap": at.clamp(max=1 / modes).sum(),
        }


def mode_reach(data) -> float:
    """A mode's reach in its standard deviations: the data's own number, else 3."""
    return getattr(data.source, "near", NEAR)


def build_coverage(data) -> ModeCoverage:
    """A count of samples at the modes of the data."""
    return ModeCoverage(data.source.centers, data.source.sigma, mode_reach(data))


class Modes:
    """Scores of generated points against the mixture that the data is."""

    def __init__(self, monitor: str, mode: str, samples: int, batch_size: int = 2500):
        self.monitor, self.mode, self.samples, self.batch_size = monitor, mode, samples, batch_size

    def prepare(self, data, device: torch.device | None = None) -> None:
        """Raises UserError for data without known modes."""
        if getattr(data.source, "centers", None) is None:
            raise UserError(
                "metrics=modes counts the modes of a mixture: data=mixture_1200, data=ring or data=grid, "
                f"not data={data.name}, which metrics=none trains without scores."
            )

        self.count = len(data.source.centers)

    def protocol(self, data, samples: int | None = None) -> dict:
        """How the scores come about; numbers of different protocols are not to be compared."""
        return {
            "samples": samples or self.samples,
            "modes": len(data.source.centers),
            "sigma": float(data.source.sigma),
            "near": f"{mode_reach(data):g} sigma",
        }

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives."""
        return [f"val/{name}" for name in ("modes", "high_quality", "reverse_kl", "mode_overlap")]

    def score_notes(self, data, samples: int | None = None) -> dict[str, tuple[int, str]]:
        """Of how many samples each score is, and how it comes about, in a few words."""
        n, count = samples or self.samples, len(data.source.centers)
        words = {
            "modes": f"of {count}, with a sample within {mode_reach(data):g} sigma",
            "high_quality": f"share within {mode_reach(data):g} sigma of a mode",
            "reverse_kl": "KL(nearest modes || equal shares), nats",
            "mode_overlap": "sum of min(share at a mode, equal share)",
        }
        return {f"val/{name}": (n, word) for name, word in words.items()}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """What so many points of the mixture itself score."""
        points = torch.cat([*data.reference("x", samples or self.samples)])
        coverage = build_coverage(data)
        coverage.update(points)
        return {f"val/{name}": value.item() for name, value in coverage.compute().items()}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Why samples with these scores are to be called collapsed, None if they are not: under half of the modes."""
        found = scores.get("val/modes", math.nan)
        return f"{found:.0f} of {self.count} modes" if found < self.count / 2 else None

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """The scores of `samples` samples, the same for the same seed."""
        self.prepare(data)
        coverage = build_coverage(data).to(float64_device(model.device))
        finite = AllFinite().to(float64_device(model.device))
        with isolated_rng(scoring_seed(seed)):
            for x, _ in generate_batches(model, data, samples or self.samples, self.batch_size, seed):
                finite.update(x.to(finite.device))
                coverage.update(x.nan_to_num())
            return nan_unless_finite(
                {f"val/{name}": value.item() for name, value in coverage.compute().items()}, finite
            )

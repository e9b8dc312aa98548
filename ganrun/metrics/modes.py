"""The suite for mixtures of Gaussians: how many of the modes the samples cover, and how well."""

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics.base import CPU, MetricSuite, metric_values
from ganrun.metrics.scores.mode_coverage import HIGH_QUALITY, MODE_OVERLAP, MODES, REACH, REVERSE_KL, ModeCoverage


def mode_reach(data) -> float:
    """How far a mode reaches, in its standard deviations."""
    return getattr(data.source, "near", REACH)


class Modes(MetricSuite):
    """Scores of generated points relative to the mixture that the data are drawn from."""

    scores = (MODES, HIGH_QUALITY, REVERSE_KL, MODE_OVERLAP)

    def prepare(self, data, device: torch.device = CPU) -> None:
        if getattr(data.source, "centers", None) is None:
            raise UserError(
                f"metrics=modes counts the modes of a mixture, and data={data.name} has none. Use data=ring, data=grid "
                "or data=mixture_1200, or train without scores: metrics=none."
            )
        self.mode_count = len(data.source.centers)

    def protocol(self, data, samples: int | None = None) -> dict:
        counts = {"samples": samples or self.samples, "modes": len(data.source.centers)}
        return {**counts, "sigma": float(data.source.sigma), "near": f"{mode_reach(data):g} sigma"}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """The scores of as many points of the mixture itself."""
        coverage = self.build_metric(data)
        coverage.update(torch.cat([*data.reference("x", samples or self.samples)]))
        return self.full_names(metric_values(coverage))

    def build_metric(self, data) -> ModeCoverage:
        return ModeCoverage(data.source.centers, data.source.sigma, mode_reach(data))

    def metric_input(self, x: Tensor) -> Tensor:
        return x.nan_to_num()

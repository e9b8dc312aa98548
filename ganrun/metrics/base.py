"""What every suite of scores offers to training and to `ganrun eval`."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.metrics import sampling
from ganrun.metrics.scores import PREFIX, Score, ScoreNote

CPU = torch.device("cpu")


class Suite:
    """Scores that are measured together. For a suite of your own, subclass it and name the class in a metrics yaml.

    scores: the declared scores that it gives.
    """

    scores: Sequence[Score] = ()

    def __init__(self, monitor: str, mode: str, samples: int, batch_size: int):
        """monitor, mode: the score that selects the best checkpoint, and "min" or "max".

        samples: number of samples to score.   batch_size: number that is generated at once.
        """
        self.monitor, self.mode, self.samples, self.batch_size = monitor, mode, samples, batch_size

    def prepare(self, data, device: torch.device = CPU) -> None:
        """Load what scoring needs, such as weights. Raises UserError for data that it cannot score."""

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """Return {full name: value} for `samples` samples of the model, the same for the same seed.

        is_final: whether training has ended, so that slow scores are computed as well.
        """
        raise NotImplementedError

    def protocol(self, data, samples: int | None = None) -> dict:
        """How the scores are measured, in plain types; numbers of different protocols are not comparable."""
        raise NotImplementedError

    def names(self, model, data) -> list[str]:
        """Full names of all scores that `score` returns at the end."""
        return [f"{PREFIX}{number}" for score in self.scores for number in score.numbers]

    def score_notes(self, data, samples: int | None = None) -> dict[str, ScoreNote]:
        """How each score comes about, by its full name."""
        protocol = self.protocol(data, samples)
        notes = [score.notes(protocol, protocol["samples"]) for score in self.scores]
        return {f"{PREFIX}{number}": note for part in notes for number, note in part.items()}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """What real data score, by the score's full name, where that is known."""
        return {}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Why samples with these scores count as collapsed, None if they do not."""
        return None


class MetricSuite(Suite):
    """A suite whose scores one torchmetrics metric computes from the samples: it returns {number: scalar}."""

    def build_metric(self, data) -> Metric:
        raise NotImplementedError

    def metric_input(self, x: Tensor) -> Tensor:
        """What the metric's `update` takes, from samples x."""
        return x

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        device = sampling.float64_device(model.device)
        with sampling.isolated_rng(sampling.scoring_seed(seed)):
            self.prepare(data)
            metric, finite = self.build_metric(data).to(device), sampling.AllFinite().to(device)
            for x, _ in sampling.generate_batches(model, data, samples or self.samples, self.batch_size, seed):
                finite.update(x.to(device))
                metric.update(self.metric_input(x))
            return sampling.nan_unless_finite(metric_values(metric), finite)


def metric_values(metric: Metric) -> dict[str, float]:
    """The numbers of a metric by their full names."""
    return {f"{PREFIX}{number}": value.item() for number, value in metric.compute().items()}

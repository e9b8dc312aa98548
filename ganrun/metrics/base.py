"""What every suite of scores offers to training and to `ganrun eval`."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.metrics import sampling
from ganrun.metrics.scores import PREFIX, Score, ScoreNote

CPU = torch.device("cpu")
T = TypeVar("T")


def has_ability(model, name: str) -> bool:
    """Return whether a model has a method such as encode; an exported model has those of the networks in its bundle."""
    return callable(getattr(model, name, None))


class Suite:
    """Scores that are measured together. For a suite of your own, subclass it and name the class in a metrics yaml."""

    scores: Sequence[Score] = ()
    equals = ""  # the packages that compute the same Frechet distance from the same images and weights, in words

    def __init__(self, monitor: str, mode: str, samples: int, batch_size: int = 500):
        """monitor, mode: the score that selects the best checkpoint, and "min" or "max".

        samples: number of samples to score.   batch_size: number that is generated at once.
        """
        self.monitor, self.mode, self.samples, self.batch_size = monitor, mode, samples, batch_size

    def prepare(self, data, device: torch.device = CPU) -> None:
        """Load what scoring needs, such as weights. Raises UserError for data that it cannot score."""

    def explain_no_scores(self, model, data) -> str:
        """Return why the suite has no scores of this model on these data, "" if it has some. This reads no file."""
        return ""

    def check_weights(self) -> str:
        """Check the weights that scoring needs, if they are here; return what a start will download, "" if nothing.

        Raises UserError for weights that are missing or damaged.
        """
        return ""

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
        return [self.full_name(number) for score in self.scores for number in score.numbers]

    def full_name(self, number: str) -> str:
        """The name of a number in TensorBoard, metrics.jsonl and scores.json."""
        return f"{PREFIX}{number}"

    def full_names(self, values: Mapping[str, T]) -> dict[str, T]:
        return {self.full_name(number): value for number, value in values.items()}

    def score_notes(self, data, samples: int | None = None) -> dict[str, ScoreNote]:
        """How each score comes about, by its full name."""
        protocol, notes = self.protocol(data, samples), {}
        for score in self.scores:
            is_of_kept = not {"features", "images"}.isdisjoint(score.needs)
            notes |= score.notes(protocol, protocol["kid_prdc_samples" if is_of_kept else "samples"])
        return self.full_names(notes)

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """What real data score, by the score's full name, where that is known."""
        return {}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Why samples with these scores count as collapsed, None if they do not."""
        return None


class MetricSuite(Suite):
    """A suite whose scores, the number of modes among them, one torchmetrics metric computes from the samples."""

    mode_count: int  # number of modes of the data

    def build_metric(self, data) -> Metric:
        """Return a metric that computes {number: scalar}."""
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
            return sampling.nan_unless_finite(self.full_names(metric_values(metric)), finite)

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        modes = scores.get(f"{PREFIX}modes", math.nan)
        return f"{modes:.0f} of {self.mode_count:,} modes" if modes < self.mode_count / 2 else None


def metric_values(metric: Metric) -> dict[str, float]:
    return {number: value.item() for number, value in metric.compute().items()}

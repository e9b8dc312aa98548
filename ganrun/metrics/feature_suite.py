"""What the suites share that compare features of generated images with features of real ones."""

import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics import reference_stats
from ganrun.metrics.base import CPU, Suite
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.score_inputs import Statistics
from ganrun.metrics.scores import PREFIX
from ganrun.metrics.scores.inception_score import SPLITS

log = logging.getLogger(__name__)
FORMAT = 4  # version of the format of the statistics on disk


class FeatureSuite(Suite):
    """A suite that compares features of generated images with features of real ones."""

    keys: tuple[str, ...]  # keys of the real images in a batch, such as x

    def __init__(
        self,
        extractor: Callable[..., Extractor],
        *arguments,
        reference: int | None = None,
        keep: int = reference_stats.KEPT_FEATURES,
        weights: str | Path | None = None,
        **options,
    ):
        """reference: number of real images to compare with (None: all of the reference splits).

        keep: number of them whose features are kept, for scores that need more than sums.
        weights: a file for the extractor (None: its default weights).
        """
        super().__init__(*arguments, **options)
        self.extractor = extractor(weights=weights)
        self.equals = self.extractor.equals
        self.reference, self.keep = reference, keep
        self._real: dict[Path, Statistics] = {}
        self._has_warned = False

    def prepare(self, data, device: torch.device = CPU) -> None:
        """Find the weights and the statistics of the real images, which are measured on `device` if not known yet."""
        self.check_data(data)
        self.extractor.load()
        for key in self.keys:
            self.real(data, key, device)

    def check_weights(self) -> str:
        if missing := self.extractor.describe_download():
            return missing
        self.extractor.load()
        return ""

    def real(self, data, key: str, device: torch.device = CPU) -> Statistics:
        """Statistics of the real images under `key`, from memory, from disk, or measured."""
        self.extractor.load()
        identity = self.identity(data, key)
        path = reference_stats.statistics_path(f"{data.name}-{key}-{self.extractor.name}", identity)
        scores = reference_stats.scores_with_baseline(self.extractor)
        statistics = self._real.get(path) or reference_stats.load_statistics(
            path, identity, self.extractor.num_features, scores
        )
        if statistics is None:
            count = identity["count"]
            if count < 2:
                raise UserError(f"data={data.name} has {count} real images under {key}; scores need at least 2.")
            message = "Measuring %s real images of %s with %s; the result is cached"
            log.info(message, f"{count:,}", data.name, self.extractor.name)
            has_labels = key == "x" and "y" in data.gives
            labels = torch.cat([*data.reference("y", self.reference)]) if has_labels else None
            images = self.images(data, key)
            statistics = reference_stats.measure_statistics(images, count, self.extractor, device, labels, self.keep)
            reference_stats.save_statistics(path, statistics, identity)
        self._real[path] = statistics
        return statistics

    def check_data(self, data) -> None:
        """Raise UserError for data that the suite cannot score."""
        if len(data.shape) != 3:
            problem = f"metrics={self.extractor.name} scores images, and data={data.name} holds points."
            raise UserError(f"{problem} Use metrics=modes.")

    def full_name(self, number: str) -> str:
        return f"{PREFIX}{self.extractor.named(number)}"

    def identity(self, data, key: str) -> dict:
        """Everything that the statistics of the real images depend on."""
        count = min(data.reference_count(key), self.reference or data.reference_count(key))
        images = {"data": data.fingerprint, "key": key, "count": count, "kept": self.keep}
        return {"format": FORMAT, **images, "weights": self.extractor.digest, "resize": self.extractor.resize}

    def protocol(self, data, samples: int | None = None) -> dict:
        self.extractor.load()
        protocol = {
            **self.extractor.protocol(),
            "samples": samples or self.samples,
            "reference_splits": list(data.reference_splits),
            "is_splits": SPLITS,  # of no use to translations, but part of their protocol since version 0.1
        }
        for key in self.keys:
            suffix = "" if key == "x" else f"_{key}"
            protocol[f"reference{suffix}"] = self.identity(data, key)["count"]
            baseline = self.real(data, key).baselines["fd"]
            protocol[f"floor{suffix}"] = None if math.isnan(baseline) else baseline  # JSON has no NaN
        return protocol

    def images(self, data, key: str) -> Iterator[Tensor]:
        """Yield the real images as the extractor sees them, uint8 [n, C, H, W], in batches."""
        for part in data.reference(key, self.reference):
            yield from part.split(self.batch_size)

    def warn_of_few(self, samples: int) -> None:
        """Warn once if the covariance of so few samples is singular."""
        if samples < self.extractor.num_features and not self._has_warned:
            self._has_warned = True
            message = "%d samples for %d features: the covariance is rank deficient and the distance is overestimated."
            log.warning(message, samples, self.extractor.num_features)

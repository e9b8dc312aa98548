"""What suites share that compare features of pictures with features of real ones."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ganrun.errors import UserError
from ganrun.metrics import reference_stats
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.reference_stats import KEPT_FEATURES, Statistics
from ganrun.metrics.scores.inception_score import SPLITS

log = logging.getLogger(__name__)
FORMAT = 4  # of the statistics on disk
CPU = torch.device("cpu")


class FeatureSuite:
    """What suites share that compare features of generated pictures with features of real ones."""

    keys: tuple[str, ...]  # of the real pictures

    def __init__(
        self,
        extractor: Callable[..., Extractor],
        monitor: str,
        mode: str,
        samples: int,
        reference: int | None = None,
        keep: int = KEPT_FEATURES,
        batch_size: int = 500,
        weights: str | Path | None = None,
    ):
        """monitor, mode: the score that names the best checkpoint, and "min" or "max".

        samples: pictures to score.   reference: real pictures to compare with (None: all that the data names).
        keep: of how many of them the features are kept, for the scores that need more than their moments.
        weights: a file for the extractor (None: its usual weights).
        """
        self.extractor = extractor(weights=weights)
        self.monitor, self.mode, self.samples = monitor, mode, samples
        self.reference, self.keep, self.batch_size = reference, keep, batch_size
        self._real: dict[Path, Statistics] = {}
        self._has_warned = False

    def prepare(self, data, device: torch.device = CPU) -> None:
        """Find the weights, then the statistics of the real pictures. Raises UserError when that is impossible.

        device: where statistics that are not known yet are measured.
        """
        self.check(data)
        self.extractor.load()
        for key in self.keys:
            self.real(data, key, device)

    def real(self, data, key: str, device: torch.device = CPU) -> Statistics:
        """Statistics of the real pictures under `key`: known already, or from disk, or measured now."""
        self.extractor.load()
        identity = self.identity(data, key)
        path = reference_stats.statistics_path(f"{data.name}-{key}-{self.extractor.name}", identity)
        if path not in self._real:
            found = reference_stats.load_statistics(path, identity, self.extractor.num_features)
            self._real[path] = found or self._measure(data, key, device)
            if not found:
                reference_stats.save_statistics(path, self._real[path], identity)
        return self._real[path]

    def check(self, data) -> None:
        """Raises UserError for data that it cannot score."""
        if len(data.shape) != 3:
            raise UserError(
                f"metrics={self.extractor.name} scores pictures, but data={data.name} holds points: metrics=modes."
            )

    def identity(self, data, key: str) -> dict:
        """What the statistics of the real pictures depend on."""
        return {
            "format": FORMAT,
            "data": data.fingerprint,
            "key": key,
            "weights": self.extractor.digest,
            "resize": self.extractor.resize,
            "count": self.reference_count(data, key),
            "kept": self.keep,
        }

    def reference_count(self, data, key: str) -> int:
        return min(data.reference_count(key), self.reference or data.reference_count(key))

    def protocol(self, data, samples: int | None = None) -> dict:
        """How the scores come about; numbers of different protocols are not to be compared."""
        self.extractor.load()
        protocol = {
            "extractor": self.extractor.name,
            "weights": f"sha256:{self.extractor.digest[:16]}",
            "resize": self.extractor.resize,
            "samples": samples or self.samples,
            "reference_splits": list(data.reference_splits),
            "is_splits": SPLITS,
        }
        for key in self.keys:
            suffix = "" if key == "x" else f"_{key}"
            protocol[f"reference{suffix}"] = self.reference_count(data, key)
            protocol[f"floor{suffix}"] = nan_to_none(self.real(data, key).baseline("fd"))
        return protocol

    def pictures(self, data, key: str) -> Iterator[Tensor]:
        """The real pictures as the extractor sees them: uint8, in batches."""
        for part in data.reference(key, self.reference):
            yield from part.split(self.batch_size)

    def labels(self, data, key: str) -> Tensor | None:
        """Of the real pictures, where the data have any."""
        if key != "x" or "y" not in data.gives:
            return None
        return torch.cat([*data.reference("y", self.reference)])

    def _measure(self, data, key: str, device: torch.device) -> Statistics:
        count = self.reference_count(data, key)
        if count < 2:
            raise UserError(f"data={data.name} has {count} real pictures under {key}: scores need two or more.")
        log.info("Measuring %d real pictures of %s by %s, once", count, data.name, self.extractor.name)
        labels = self.labels(data, key)
        return reference_stats.measure_statistics(
            self.pictures(data, key), count, self.extractor, device, labels, self.keep
        )

    def warn_of_few(self, samples: int) -> None:
        """Says once that a covariance of so few samples is singular."""
        if samples < self.extractor.num_features and not self._has_warned:
            self._has_warned = True
            log.warning(
                "%d samples for %d features: the covariance is rank deficient, and the distance too large.",
                samples,
                self.extractor.num_features,
            )


def nan_to_none(value: float) -> float | None:
    """JSON has no nan."""
    return value if value == value else None

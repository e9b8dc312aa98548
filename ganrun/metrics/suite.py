"""The scores that are asked for together: one pass over the samples, several numbers."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric

from ganrun.errors import UserError, did_you_mean
from ganrun.metrics import statistics
from ganrun.metrics.drawing import Finite, apart, generated, or_nan, seed_of_scores
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.inception_score import SPLITS
from ganrun.metrics.scores import KINDS, FeatureScores, names_of
from ganrun.metrics.statistics import FLOORS, NEIGHBOURS, Statistics
from ganrun.pictures import to_uint8

log = logging.getLogger(__name__)
FORMAT = 3  # of the statistics on disk
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
        batch_size: int = 500,
        weights: str | Path | None = None,
    ):
        """monitor, mode: the score that names the best checkpoint, and "min" or "max".

        samples: pictures to score.   reference: real pictures to compare with (None: all that the data names).
        weights: a file for the extractor (None: its usual weights).
        """
        self.extractor = extractor(weights=weights)
        self.monitor, self.mode, self.samples = monitor, mode, samples
        self.reference, self.batch_size = reference, batch_size
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
        path = statistics.statistics_file(f"{data.name}-{key}-{self.extractor.name}", self.identity(data, key))
        if path not in self._real:
            self._real[path] = statistics.read(path, self.extractor.num_features) or self._measure(
                data, key, path, device
            )
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
            floor = self.real(data, key).floor.item()
            protocol[f"reference{suffix}"] = self.reference_count(data, key)
            protocol[f"floor{suffix}"] = floor if floor == floor else None
        return protocol

    def pictures(self, data, key: str) -> Iterator[Tensor]:
        """The real pictures as the extractor sees them: uint8, in batches."""
        for part in data.reference(key, self.reference):
            yield from part.split(self.batch_size)

    def _measure(self, data, key: str, path: Path, device: torch.device) -> Statistics:
        count = self.reference_count(data, key)
        if count < 2:
            raise UserError(f"data={data.name} has {count} real pictures under {key}: scores need two or more.")
        log.info("Measuring %d real pictures of %s by %s, once", count, data.name, self.extractor.name)
        found = statistics.measure(self.pictures(data, key), count, self.extractor, device)
        statistics.write(path, found)
        return found

    def _warn_of_few(self, samples: int) -> None:
        if samples < self.extractor.num_features and not self._has_warned:
            self._has_warned = True
            log.warning(
                "%d samples for %d features: the covariance is rank deficient, and the distance too large.",
                samples,
                self.extractor.num_features,
            )


class Generation(FeatureSuite):
    """Scores of samples against real pictures; accuracy, where the extractor knows the classes asked for."""

    keys = ("x",)

    def __init__(
        self, *arguments, scores: Sequence[str] = ("fd", "is"), final: Sequence[str] = ("kid", "prdc"), **options
    ):
        """scores: what to compute each time, of scores.KINDS.   final: what else at the end."""
        super().__init__(*arguments, **options)
        for kind in [*scores, *final]:
            if kind not in KINDS:
                raise UserError(
                    f"There is no score {kind} in metrics.scores or metrics.final.{did_you_mean(kind, KINDS)}"
                )
        self.scores, self.final = [*scores], [*scores, *(kind for kind in final if kind not in scores)]

    def check(self, data) -> None:
        super().check(data)
        if "x" not in data.gives:
            name = "translation_lenet" if data.intensity is not None else "translation"
            raise UserError(f"data={data.name} holds two domains to translate between: metrics={name}.")

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """The scores of `samples` samples, the same for the same seed; all of them where `is_final`."""
        samples = samples or self.samples
        self._warn_of_few(samples)
        real = self.real(data, "x", model.device)
        kinds = self.final if is_final else self.scores
        with apart(seed_of_scores(seed)):
            scores = FeatureScores(self.extractor, real, model.device, kinds)
            hits, finite = MeanMetric().to(model.device), Finite().to(model.device)
            for x, y in generated(model, data, samples, self.batch_size, seed):
                finite.update(x)
                logits = scores.update(to_uint8(x))
                if y is not None:
                    hits.update((logits.argmax(1) == y.to(logits.device)).float())
            found = {f"val/{name}": value for name, value in scores.compute().items()}
            if self._knows_answers(model, data):
                found[f"val/accuracy_{self.extractor.name}"] = hits.compute().item()
            return or_nan(found, finite)

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives at the end."""
        names = names_of(self.final, self.extractor)
        names += [f"accuracy_{self.extractor.name}"] if self._knows_answers(model, data) else []
        return [f"val/{name}" for name in names]

    def protocol(self, data, samples: int | None = None) -> dict:
        real = self.real(data, "x")
        found = super().protocol(data, samples)
        kept = min(found["samples"], len(real.features))
        return {**found, "kid_prdc_samples": kept, "kid_prdc_reference": len(real.features), "prdc_k": NEIGHBOURS}

    def floors(self, data) -> dict[str, float]:
        """What the scores of real pictures are: of one random half against the other; the Inception Score of all."""
        real = self.real(data, "x")
        plain = {"fd": real.floor, "is": real.inception_score, **dict(zip(FLOORS, real.floors, strict=True))}
        kinds = [kind for kind in self.final if kind != "fd_infinity"]
        values = [plain[name].item() for kind in kinds for name in KINDS[kind]]
        return {f"val/{name}": value for name, value in zip(names_of(kinds, self.extractor), values, strict=True)}

    def _knows_answers(self, model, data) -> bool:
        return "y" in model.needs and self.extractor.classes == list(data.classes)

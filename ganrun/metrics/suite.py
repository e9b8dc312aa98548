"""The scores of generated pictures that are asked for together: one pass over the samples, several numbers."""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric

from ganrun.data.images import to_uint8
from ganrun.errors import UserError, did_you_mean
from ganrun.metrics.feature_scores import KINDS, FeatureScores, number_names
from ganrun.metrics.feature_suite import FeatureSuite
from ganrun.metrics.reference_stats import BASELINES, NEIGHBOURS
from ganrun.metrics.sampling import AllFinite, generate_batches, isolated_rng, nan_unless_finite, scoring_seed
from ganrun.metrics.scores.inception_score import SPLITS
from ganrun.metrics.scores.kid import SUBSET_SIZE, SUBSETS

log = logging.getLogger(__name__)
COLLAPSED = 0.6  # diversity: the pictures of one digit alone have .37 to .60 of that of all ten, of two .7 or more


def log_progress(parts: Iterable[tuple[Tensor, Tensor | None]]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The parts, with a word on how many pictures there were every 20 seconds."""
    count, last = 0, time.monotonic()
    for images, y in parts:
        yield images, y
        count += len(images)
        if time.monotonic() - last > 20:
            last = time.monotonic()
            log.info("%d pictures scored", count)


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
        self.kinds, self.final_kinds = [*scores], [*scores, *(kind for kind in final if kind not in scores)]

    def check(self, data) -> None:
        super().check(data)
        if "x" not in data.gives:
            name = "translation_lenet" if data.intensity is not None else "translation"
            raise UserError(f"data={data.name} holds two domains to translate between: metrics={name}.")

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """The scores of `samples` samples, the same for the same seed; all of them where `is_final`."""
        samples = samples or self.samples
        self.warn_of_few(samples)
        finite = AllFinite().to(model.device)

        def parts() -> Iterator[tuple[Tensor, Tensor | None]]:
            for x, y in generate_batches(model, data, samples, self.batch_size, seed):
                finite.update(x)
                yield to_uint8(x), y

        found = self.of_pictures(parts(), data, model.device, seed, is_final, "y" in model.needs)
        return nan_unless_finite(found, finite)

    def of_pictures(
        self,
        parts: Iterable[tuple[Tensor, Tensor | None]],
        data,
        device: torch.device,
        seed: int = 0,
        is_final: bool = True,
        is_y_asked: bool = False,
    ) -> dict[str, float]:
        """The scores of pictures, uint8 [n, C, H, W] in parts, against the data's; y int64 [n]: the classes asked for.

        The pictures of one part have one size.   seed: of what the scores draw, and of torch's global stream meanwhile.
        """
        real = self.real(data, "x", device)
        with isolated_rng(scoring_seed(seed)):
            scores = FeatureScores(self.extractor, real, device, self._kinds(is_final, is_y_asked))
            hits = MeanMetric().to(device)
            for images, y in log_progress(parts):
                logits = scores.update(images, y)
                if y is not None:
                    hits.update((logits.argmax(1) == y.to(logits.device)).float())
            found = {f"val/{name}": value for name, value in scores.compute().items()}
            if is_y_asked and self._knows_classes(data):
                found[f"val/{self.extractor.named('accuracy')}"] = hits.compute().item()
            return found

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives at the end."""
        is_y_asked = "y" in model.needs
        names = number_names(self._kinds(True, is_y_asked), self.extractor)
        names += [self.extractor.named("accuracy")] if is_y_asked and self._knows_classes(data) else []
        return [f"val/{name}" for name in names]

    def protocol(self, data, samples: int | None = None) -> dict:
        real = self.real(data, "x")
        found = super().protocol(data, samples)
        kept = min(found["samples"], len(real.features))
        return {
            **found,
            "kid_prdc_samples": kept,
            "kid_prdc_reference": len(real.features),
            "kid_subsets": SUBSETS,
            "kid_subset_size": min(SUBSET_SIZE, kept),
            "prdc_k": NEIGHBOURS,
        }

    def score_notes(self, data, samples: int | None = None) -> dict[str, tuple[int, str]]:
        """Of how many samples each score is, and how it comes about, in a few words."""
        told = self.protocol(data, samples)
        n, few, against = told["samples"], told["kid_prdc_samples"], f"against {told['reference']:,} real"
        against_few = f"against {told['kid_prdc_reference']:,} real"
        subsets = f"{told['kid_subsets']} subsets of {told['kid_subset_size']:,}, {against_few}"
        words = {
            "fd": (n, against),
            "diversity": (n, "root mean squared distance of two, over the data's"),
            "is": (n, f"{SPLITS} splits"),
            "kid": (few, subsets),
            "prdc": (few, f"k = {NEIGHBOURS}, {against_few}"),
            "intra": (n, f"mean over classes, {against_few}"),
            "fd_infinity": (few, f"extrapolated, {against}"),
        }
        found = {name: words[kind] for kind in KINDS for name in number_names([kind], self.extractor)}
        found[self.extractor.named("accuracy")] = (n, "share of samples named as asked")
        return {f"val/{name}": told for name, told in found.items()}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """What the scores of real pictures are: of one random half against the other; the Inception Score of all."""
        real = self.real(data, "x")
        return {f"val/{self.extractor.named(name)}": real.baseline(name) for name in BASELINES}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Why samples with these scores are to be called collapsed, None if they are not."""
        diversity = scores.get(f"val/{self.extractor.named('diversity')}", math.nan)
        return f"the samples' diversity is {diversity:.2g} of the data's" if diversity < COLLAPSED else None

    def _kinds(self, is_final: bool, is_y_asked: bool) -> list[str]:
        kinds = self.final_kinds if is_final else self.kinds
        return [kind for kind in kinds if kind != "intra" or is_y_asked]

    def _knows_classes(self, data) -> bool:
        return self.extractor.classes == list(data.classes)

"""The suite for generated images: several scores in one pass over the samples."""

import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.metrics.codes import code_scores, score_codes
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.feature_suite import FeatureSuite
from ganrun.metrics.reconstruction import reconstruction_scores, score_reconstructions
from ganrun.metrics.sampling import (
    AllFinite,
    generate_batches,
    isolated_rng,
    nan_unless_finite,
    scoring_seed,
    takes_labels,
)
from ganrun.metrics.scores import PREFIX, Score, ScoreNote, available_scores, find_score
from ganrun.metrics.scores.accuracy import accuracy
from ganrun.metrics.scores.codes import OF_IMAGES, OF_SAMPLES
from ganrun.metrics.scores.reconstruction import KEPT, OF_RECONSTRUCTIONS

log = logging.getLogger(__name__)
COLLAPSED = 0.6  # diversity; of one class of the shipped digits it is 0.37 to 0.60, of two classes at least 0.7
Batches = Iterable[tuple[Tensor, Tensor | None]]
Names = Sequence[str | Score]


def log_progress(batches: Batches) -> Batches:
    """Yield the batches, and log the number of images every 20 seconds."""
    count, last = 0, time.monotonic()
    for images, y in batches:
        yield images, y
        count += len(images)
        if time.monotonic() - last > 20:
            last = time.monotonic()
            log.info("%d images scored", count)


class Generation(FeatureSuite):
    """Scores of generated images; with requested classes that the extractor knows, the accuracy as well."""

    keys = ("x",)

    def __init__(self, *arguments, scores: Names = ("fd", "is"), final: Names = ("kid", "prdc"), **options):
        """scores: computed at each validation, as names or Score objects.   final: at the end, besides these."""
        super().__init__(*arguments, **options)
        self.regular = [*map(find_score, scores)]
        self.final = [*dict.fromkeys([*self.regular, *map(find_score, final)])]
        for score in self.final:
            if reason := score.explain_misfit(self.extractor):
                raise UserError(f"metrics.scores or metrics.final has {score.name}, but {reason}. Leave it out.")
        of_model = [*OF_RECONSTRUCTIONS, *OF_SAMPLES, *OF_IMAGES]  # of nothing that the extractor finds
        possible = [score for score in available_scores().values() if not score.explain_misfit(self.extractor)]
        self.scores = [*possible, *self.final, *of_model, KEPT]
        self.without_extractor = {number for score in self.scores if score.is_of_pixels for number in score.numbers}
        self.without_extractor |= {score.name for score in of_model}

    def check_data(self, data) -> None:
        super().check_data(data)
        if "x" not in data.gives:
            name = "translation_lenet" if data.intensity is not None else "translation"
            raise UserError(f"data={data.name} holds two domains to translate between. Use metrics={name}.")

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """Score the samples, the reconstructions and the codes of the model, whichever it has."""
        values, samples = {}, samples or self.samples
        if hasattr(model, "sample"):
            values |= self.score_samples(model, data, samples, seed, is_final)
        if has_ability(model, "reconstruct"):
            with isolated_rng(scoring_seed(seed)):
                found = score_reconstructions(model, data, self.extractor, samples, self.batch_size)
            values |= self.full_names(found)
        if has_ability(model, "recognize"):
            with isolated_rng(scoring_seed(seed)):
                values |= self.full_names(score_codes(model, data, samples, self.batch_size, seed))
        return values

    def score_samples(self, model, data, samples: int, seed: int, is_final: bool) -> dict[str, float]:
        self.warn_of_few(samples)
        finite = AllFinite().to(model.device)

        def batches() -> Batches:
            for x, y in generate_batches(model, data, samples, self.batch_size, seed):
                finite.update(x)
                yield to_uint8(x), y

        selected = self._selected(data, is_final, takes_labels(model, data))
        return nan_unless_finite(self.score_images(batches(), data, model.device, seed, selected), finite)

    def score_images(
        self, batches: Batches, data, device: torch.device, seed: int = 0, scores: Sequence[Score] | None = None
    ) -> dict[str, float]:
        """Score batches (images, requested classes): uint8 [n, C, H, W], of one size per batch, and int64 [n] or None.

        seed: of what the scores draw, and of torch's global stream while the batches are generated.
        scores: None stands for the final scores of an unconditional model.
        """
        selected = self._selected(data, True, False) if scores is None else scores
        real = self.real(data, "x", device)
        count = len(real.features)
        references = {"images": partial(data.reference, "x", count)}
        if "y" in data.gives:
            references["image_labels"] = partial(data.reference, "y", count)
        with isolated_rng(scoring_seed(seed)):
            feature_scores = FeatureScores(self.extractor, real, device, selected, references)
            for images, y in log_progress(batches):
                feature_scores.update(images, y)
            return self.full_names(feature_scores.compute())

    def score_notes(self, data, samples: int | None = None) -> dict[str, ScoreNote]:
        notes = super().score_notes(data, samples)
        count = min(samples or self.samples, data.test_count("x"))  # of test images
        names = [self.full_name(score.name) for score in (*OF_RECONSTRUCTIONS, KEPT, *OF_IMAGES)]
        return notes | {name: notes[name]._replace(samples=count) for name in names}

    def names(self, model, data) -> list[str]:
        finds_again = has_ability(model, "reconstruct")
        is_sampled = hasattr(model, "sample") or not finds_again  # a model without both is refused by `check_data`
        selected = self._selected(data, True, takes_labels(model, data)) if is_sampled else []
        selected += reconstruction_scores(data, self.extractor) if finds_again else []
        selected += code_scores(model, data) if has_ability(model, "recognize") else []
        return [self.full_name(number) for score in selected for number in score.numbers]

    def full_name(self, number: str) -> str:
        return f"{PREFIX}{number}" if number in self.without_extractor else super().full_name(number)

    def protocol(self, data, samples: int | None = None) -> dict:
        protocol = super().protocol(data, samples)
        reference = len(self.real(data, "x").features)
        kept = min(protocol["samples"], reference)
        protocol |= {"kid_prdc_samples": kept, "kid_prdc_reference": reference}
        for score in self.scores:
            protocol |= score.settings(kept)
        return protocol

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """The scores of one random half of the real images relative to the other; the Inception Score of all."""
        return self.full_names(self.real(data, "x").baselines)

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        diversity = scores.get(self.full_name("diversity"), math.nan)
        return f"the samples' diversity is {diversity:.2g} of the data's" if diversity < COLLAPSED else None

    def _selected(self, data, is_final: bool, is_conditional: bool) -> list[Score]:
        """The requested scores that this model and these data can have, and the accuracy."""
        knows_classes = self.extractor.classes == list(data.classes)
        scores = [score for score in (self.final if is_final else self.regular) if score is not accuracy]
        scores = [score for score in scores if is_conditional or not score.needs_classes]
        return [*scores, accuracy] if is_conditional and knows_classes else scores

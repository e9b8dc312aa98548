"""The suite for translations between two sets of images."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric

from ganrun.data.images import to_float, to_uint8
from ganrun.errors import UserError
from ganrun.metrics import sampling
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.feature_suite import FeatureSuite
from ganrun.metrics.scores import PREFIX, ScoreNote
from ganrun.metrics.scores.accuracy import accuracy
from ganrun.metrics.scores.fid import fid
from ganrun.metrics.scores.ground_truth import DIGIT_ACCURACY, L1, L1_UNTRANSLATED

DIRECTIONS = (("a", "b"), ("b", "a"))


class Translation(FeatureSuite):
    """Frechet distance of translated test images, both ways; for paired data, the L1 distance to the counterparts.

    Data with `intensity(x, domain)`, which extracts the digit from an image of a domain, are scored on those digits,
    and also by the share of translations that still show the digit of their source.
    """

    keys = ("a", "b")

    def check_data(self, data) -> None:
        super().check_data(data)
        if "a" not in data.gives:
            problem = f"data={data.name} has no two domains to translate between."
            raise UserError(f"{problem} Use metrics=inception or metrics=lenet.")

    def identity(self, data, key: str) -> dict:
        return {**super().identity(data, key), "intensity": data.intensity is not None}

    def images(self, data, key: str) -> Iterator[Tensor]:
        for part in super().images(data, key):
            yield to_uint8(data.intensity(to_float(part), key)) if data.intensity else part

    def protocol(self, data, samples: int | None = None) -> dict:
        protocol = super().protocol(data, samples)
        count = protocol.pop("samples")
        for source, target in DIRECTIONS:
            protocol[f"samples_{source}_to_{target}"] = min(count, data.test_count(source))
        sees = "the digit's intensity" if data.intensity else "the picture"
        return {**protocol, "test_split": data.test_split, "sees": sees}

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """Score the translations of all test images, or of the first `samples` of each domain."""
        values = {}
        with sampling.isolated_rng(sampling.scoring_seed(seed)):
            for source, target in DIRECTIONS:
                values |= self._score_direction(model, data, source, target, samples or self.samples)
        name = self.full_name("fd")
        return {**values, name: (values[f"{name}_a_to_b"] + values[f"{name}_b_to_a"]) / 2}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """The distance of one random half of the real images from the other, in each target domain."""
        return {self._direction_name("fd", x, y): self.real(data, y).baselines["fd"] for x, y in DIRECTIONS}

    def score_notes(self, data, samples: int | None = None) -> dict[str, ScoreNote]:
        protocol, notes = self.protocol(data, samples), {}
        for source, target in DIRECTIONS:
            count = protocol[f"samples_{source}_to_{target}"]
            for score in (fid, L1, L1_UNTRANSLATED, DIGIT_ACCURACY):
                (note,) = score.notes({"reference": protocol[f"reference_{target}"]}, count).values()
                notes[self._direction_name(score.name, source, target)] = note
        total = protocol["samples_a_to_b"] + protocol["samples_b_to_a"]
        return {**notes, self.full_name("fd"): ScoreNote(total, "mean of both directions", "lower")}

    def names(self, model, data) -> list[str]:
        names = ["fd", *(["l1", "l1_untranslated"] if data.is_paired else [])]
        names += ["accuracy"] if self._knows_digits(data) else []
        both = [self._direction_name(name, *direction) for direction in DIRECTIONS for name in names]
        return [*both, self.full_name("fd")]

    def _knows_digits(self, data) -> bool:
        """Whether the extractor's classes are the digits that the images show."""
        return data.intensity is not None and self.extractor.classes == list(data.classes)

    def _direction_name(self, number: str, source: str, target: str) -> str:
        """fd -> val/fd_lenet_a_to_b; l1_untranslated -> val/l1_a_to_b_untranslated."""
        name = f"{PREFIX}{number}" if number.startswith("l1") else self.full_name(number)
        head, mark, _ = name.partition("_untranslated")
        return f"{head}_{source}_to_{target}{mark}"

    def _score_direction(self, model, data, source: str, target: str, limit: int) -> dict[str, float]:
        rank, world = sampling.rank_and_world()
        count = sampling.require_samples(min(limit, data.test_count(source)), world)
        self.warn_of_few(count)
        declared = [fid, accuracy] if self._knows_digits(data) else [fid]
        scores = FeatureScores(self.extractor, self.real(data, target, model.device), model.device, declared)
        finite = sampling.AllFinite().to(model.device)
        # NaNs of a diverged model stay in the mean; torchmetrics' default leaves them out.
        l1, l1_untranslated = (MeanMetric(math.nan).to(model.device) for _ in range(2))
        for index in torch.arange(rank, count, world).split(self.batch_size):
            x = data.test(source, index).to(model.device)
            translated = model.translate(x, to=target).float()
            finite.update(translated)
            y = data.test("y", index) if accuracy in declared else None
            scores.update(to_uint8(data.intensity(translated, target) if data.intensity else translated), y)
            if data.is_paired:
                truth = data.test(target, index).to(model.device)
                l1.update((translated - truth).abs())
                l1_untranslated.update((x - truth).abs())
        values = scores.compute()
        if data.is_paired:
            values |= {"l1": l1.compute().item(), "l1_untranslated": l1_untranslated.compute().item()}
        values = {self._direction_name(number, source, target): value for number, value in values.items()}
        return sampling.nan_unless_finite(values, finite)

"""Scores of translations between two sets of pictures."""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torchmetrics.aggregation import MeanMetric

from ganrun.data.images import to_float, to_uint8
from ganrun.errors import UserError
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.feature_suite import FeatureSuite
from ganrun.metrics.sampling import (
    AllFinite,
    isolated_rng,
    nan_unless_finite,
    rank_and_world,
    require_samples,
    scoring_seed,
)

DIRECTIONS = (("a", "b"), ("b", "a"))


class Translation(FeatureSuite):
    """Frechet distance of translated test pictures both ways; where counterparts are known, the L1 distance to them.

    Data with `intensity(x, domain)`, which tells the digit in a picture of a domain, is scored on those digits: then
    also the share of translations that still show the digit of their source.
    """

    keys = ("a", "b")

    def check(self, data) -> None:
        super().check(data)
        if "a" not in data.gives:
            raise UserError(f"data={data.name} has no two domains to translate between: metrics=inception or lenet.")

    def identity(self, data, key: str) -> dict:
        return {**super().identity(data, key), "intensity": digit_intensity(data) is not None}

    def pictures(self, data, key: str) -> Iterator[Tensor]:
        seen = digit_intensity(data)
        for part in super().pictures(data, key):
            yield to_uint8(seen(to_float(part), key)) if seen else part

    def protocol(self, data, samples: int | None = None) -> dict:
        found = super().protocol(data, samples)
        count = samples or self.samples
        for source, target in DIRECTIONS:
            found[f"samples_{source}_to_{target}"] = min(count, data.test_count(source))
        del found["samples"]
        return {
            **found,
            "test_split": data.test_split,
            "sees": "the digit's intensity" if digit_intensity(data) else "the picture",
        }

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """The scores of the translations of all test pictures, or of the first `samples` of each domain."""
        with isolated_rng(scoring_seed(seed)):
            found = {}
            for source, target in DIRECTIONS:
                found |= self._one_way(model, data, source, target, samples or self.samples)
        name = self._fd_name
        found[name] = (found[f"{name}_a_to_b"] + found[f"{name}_b_to_a"]) / 2
        return found

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """The distances of one random half of the real pictures from the other."""
        name = self._fd_name
        return {f"{name}_{source}_to_{target}": self.real(data, target).baseline("fd") for source, target in DIRECTIONS}

    def score_notes(self, data, samples: int | None = None) -> dict[str, tuple[int, str]]:
        """Of how many translations each score is, and how it comes about, in a few words."""
        told, found = self.protocol(data, samples), {}
        for source, target in DIRECTIONS:
            n = told[f"samples_{source}_to_{target}"]
            words = {
                self.extractor.named("fd"): f"against {told[f'reference_{target}']:,} real",
                "l1": "to the true counterpart",
                "l1_untranslated": "of the source to the true counterpart",
                self.extractor.named("accuracy"): "share that still shows the source's digit",
            }
            found |= {f"val/{with_direction(name, source, target)}": (n, word) for name, word in words.items()}
        total = told["samples_a_to_b"] + told["samples_b_to_a"]
        return {**found, self._fd_name: (total, "mean of both directions")}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Nothing is known of collapse here: translations differ as their sources do."""
        return None

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives."""
        names = [self.extractor.named("fd")]
        names += ["l1", "l1_untranslated"] if data.is_paired else []
        names += [f"accuracy_{self.extractor.name}"] if knows_digits(data, self.extractor.classes) else []
        both = [with_direction(name, *direction) for direction in DIRECTIONS for name in names]
        return [f"val/{name}" for name in [*both, self.extractor.named("fd")]]

    @property
    def _fd_name(self) -> str:
        return f"val/{self.extractor.named('fd')}"

    def _one_way(self, model, data, source: str, target: str, limit: int) -> dict[str, float]:
        count = require_samples(min(limit, data.test_count(source)), rank_and_world()[1])
        self.warn_of_few(count)
        scores = FeatureScores(self.extractor, self.real(data, target, model.device), model.device, ["fd"])
        finite = AllFinite().to(model.device)
        answers = GroundTruth(data, target, self.extractor.classes, model.device)
        seen = digit_intensity(data)
        for index in rank_batches(count, self.batch_size):
            part = data.test(source, index).to(model.device)
            translated = model.translate(part, to=target).float()
            finite.update(translated)
            logits = scores.update(to_uint8(seen(translated, target) if seen else translated))
            answers.update(index, part, translated, logits)
        names = {**scores.compute(), **answers.compute(self.extractor.name)}
        return nan_unless_finite(
            {f"val/{with_direction(name, source, target)}": value for name, value in names.items()}, finite
        )


class GroundTruth:
    """Translations beside what is known of the right ones: the counterparts, the digits."""

    def __init__(self, data, target: str, classes: list[str] | None, device: torch.device):
        self.data, self.target, self.is_named = data, target, knows_digits(data, classes)
        # A diverged model's NaNs stay in the mean; torchmetrics would leave them out.
        self.error, self.untranslated, self.hits = (MeanMetric(math.nan).to(device) for _ in range(3))

    def update(self, index: Tensor, x: Tensor, translated: Tensor, logits: Tensor) -> None:
        """index: places of the pictures x in the test split."""
        if self.data.is_paired:
            truth = self.data.test(self.target, index).to(x.device)
            self.error.update((translated - truth).abs())
            self.untranslated.update((x - truth).abs())
        if self.is_named:
            self.hits.update((logits.argmax(1).cpu() == self.data.test("y", index)).float())

    def compute(self, extractor: str) -> dict[str, float]:
        found = {}
        if self.data.is_paired:
            found |= {"l1": self.error.compute().item(), "l1_untranslated": self.untranslated.compute().item()}
        if self.is_named:
            found[f"accuracy_{extractor}"] = self.hits.compute().item()
        return found


def digit_intensity(data) -> Callable[[Tensor, str], Tensor] | None:
    """The data's way from a picture of a domain to the digit in it, where it has one."""
    return getattr(data, "intensity", None)


def knows_digits(data, classes: list[str] | None) -> bool:
    """Whether an extractor of these classes can name the digits that the data's pictures show."""
    return digit_intensity(data) is not None and classes == list(data.classes)


def rank_batches(count: int, batch_size: int) -> tuple[Tensor, ...]:
    """This process's places in 0..count-1, in batches."""
    rank, world = rank_and_world()
    return torch.arange(rank, count, world).split(batch_size)


def with_direction(name: str, source: str, target: str) -> str:
    """l1 -> l1_a_to_b; l1_untranslated -> l1_a_to_b_untranslated."""
    head, mark, tail = name.partition("_untranslated")
    return f"{head}_{source}_to_{target}{mark}{tail}"

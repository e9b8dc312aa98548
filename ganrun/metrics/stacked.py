"""The suite for stacked digits: how many of the 1,000 modes a classifier of digits finds in the samples."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.metrics.base import CPU, MetricSuite, metric_values
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.scores.stacked_coverage import MODES, STACKED_KL, STACKED_MODES, StackedCoverage
from ganrun.seeds import named_generator


def mode_probabilities(y: Tensor) -> Tensor:
    """Probabilities of the modes, float64 [1000], from labels y = 100 a + 10 b + c with independent digits a, b, c.

    The product of the channels' shares: a mode that no image happens to show has a probability above 0, too.
    """
    a, b, c = (torch.bincount(digit, minlength=10).double() / len(y) for digit in (y // 100, y // 10 % 10, y % 10))
    return torch.einsum("a,b,c->abc", a, b, c).flatten()


def perfect_scores(distribution: Tensor, samples: int) -> dict[str, float]:
    """The scores of a perfect generator and classifier: those of `samples` draws from the distribution [1000]."""
    generator, coverage = named_generator("stacked floor"), StackedCoverage(distribution)
    coverage.update(torch.multinomial(distribution, samples, replacement=True, generator=generator))
    return metric_values(coverage)


def classify_modes(extractor: Extractor, images: Tensor) -> Tensor:
    """The modes 100 a + 10 b + c, int64 [B], of images, uint8 [B, 3, H, W], by a classifier of single digits."""
    logits = extractor(images.flatten(0, 1).unsqueeze(1))[1]
    a, b, c = logits.argmax(1).unflatten(0, (-1, 3)).unbind(1)
    return 100 * a + 10 * b + c


class Stacked(MetricSuite):
    """Scores of generated stacks of three digits."""

    scores, mode_count = (STACKED_MODES, STACKED_KL), MODES

    def __init__(self, extractor: Callable[..., Extractor], *arguments, weights: str | Path | None = None, **options):
        """extractor: builds the classifier of digits.   weights: a file for it (None: the shipped weights)."""
        super().__init__(*arguments, **options)
        self.extractor = extractor(weights=weights)

    def prepare(self, data, device: torch.device = CPU) -> None:
        if len(data.shape) != 3 or data.shape[0] != 3 or "y" not in data.gives or len(data.classes) != MODES:
            raise UserError(
                f"metrics=stacked counts the 1,000 modes of three stacked digits, and data={data.name} has none. "
                "Use data=stacked_digits or data=stacked_mnist, or train without scores: metrics=none."
            )
        self.extractor.load()

    def protocol(self, data, samples: int | None = None) -> dict:
        self.prepare(data)
        perfect = perfect_scores(self.distribution(data), samples or self.samples)
        settings = {"samples": samples or self.samples, "modes": MODES, "direction": "KL(generated || data)"}
        floors = {"floor": perfect["reverse_kl"], "floor_modes": perfect["modes"]}
        return {**self.extractor.protocol(), **settings, **floors}

    def distribution(self, data) -> Tensor:
        return mode_probabilities(data.contents.splits["train"]["y"])

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """The scores of as many draws from the data's distribution."""
        return self.full_names(perfect_scores(self.distribution(data), samples or self.samples))

    def build_metric(self, data) -> StackedCoverage:
        return StackedCoverage(self.distribution(data))

    def metric_input(self, x: Tensor) -> Tensor:
        return classify_modes(self.extractor, to_uint8(x))

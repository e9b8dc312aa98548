"""How many of the 1,000 modes of stacked digits the samples cover."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import Metric

from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import (
    AllFinite,
    float64_device,
    generate_batches,
    isolated_rng,
    nan_unless_finite,
    scoring_seed,
)
from ganrun.seeds import named_generator

MODES = 1000


class StackedCoverage(Metric):
    """Counts of samples in the 1,000 modes, and the two numbers made of them.

    Modes: Metz et al. 2017 (Unrolled GAN). KL from the generated law to the data's: Lin et al. 2018 (PacGAN), whose
    code takes the uniform law for the data's.
    """

    def __init__(self, law: Tensor, **options):
        """law: [1000], the data's shares of the modes."""
        super().__init__(**options)
        self.law = law.double().cpu()
        self.add_state("counts", torch.zeros(MODES, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, modes: Tensor) -> None:
        """modes: int64 [N], 0..999."""
        self.counts += torch.bincount(modes.to(self.device), minlength=MODES)

    def compute(self) -> dict[str, Tensor]:
        """modes: how many occur.   reverse_kl: KL(generated shares || the data's), nats; inf in a mode data lack."""
        is_hit = self.counts > 0
        share, real = self.counts[is_hit].double() / self.counts.sum(), self.law.to(self.device)[is_hit]
        return {"modes": is_hit.sum(), "reverse_kl": (share * (share / real).log()).sum()}


def mode_probabilities(y: Tensor) -> Tensor:
    """The law that labels y = 100 a + 10 b + c were drawn from, when a, b and c are independent: float64 [1000].

    The product of the channels' shares: it has no gap where so far no example was drawn.
    """
    a, b, c = (torch.bincount(digit, minlength=10).double() / len(y) for digit in (y // 100, y // 10 % 10, y % 10))
    return torch.einsum("a,b,c->abc", a, b, c).flatten()


def perfect_scores(law: Tensor, samples: int) -> dict[str, float]:
    """The scores of a perfect generator that a perfect classifier reads: those of `samples` draws from the law."""
    coverage = StackedCoverage(law)
    coverage.update(torch.multinomial(law, samples, replacement=True, generator=named_generator("stacked floor")))
    return {name: value.item() for name, value in coverage.compute().items()}


def classify_modes(extractor: Extractor, images: Tensor) -> Tensor:
    """The mode 100 a + 10 b + c that a classifier of digits reads in each picture: uint8 [B, 3, H, W] -> int64 [B]."""
    logits = extractor(images.flatten(0, 1).unsqueeze(1))[1]
    a, b, c = logits.argmax(1).unflatten(0, (-1, 3)).unbind(1)
    return 100 * a + 10 * b + c


class Stacked:
    """Scores of generated stacks of three digits by a classifier of digits."""

    def __init__(
        self,
        extractor: Callable[..., Extractor],
        monitor: str,
        mode: str,
        samples: int,
        batch_size: int = 500,
        weights: str | Path | None = None,
    ):
        """extractor: makes the classifier of digits.   weights: a file for it (None: its usual weights)."""
        self.extractor = extractor(weights=weights)
        self.monitor, self.mode, self.samples, self.batch_size = monitor, mode, samples, batch_size

    def prepare(self, data, device: torch.device | None = None) -> None:
        """Finds the weights. Raises UserError for other data than stacks of three digits."""
        if len(data.shape) != 3 or data.shape[0] != 3 or "y" not in data.gives or len(data.classes) != MODES:
            raise UserError(
                "metrics=stacked counts the 1,000 modes of three stacked digits: data=stacked_digits or "
                f"data=stacked_mnist, not data={data.name}, which metrics=none trains without scores."
            )
        self.extractor.load()

    def protocol(self, data, samples: int | None = None) -> dict:
        """How the scores come about; numbers of different protocols are not to be compared."""
        self.prepare(data)
        samples = samples or self.samples
        at_best = perfect_scores(self.law(data), samples)
        return {
            "extractor": self.extractor.name,
            "weights": f"sha256:{self.extractor.digest[:16]}",
            "resize": self.extractor.resize,
            "samples": samples,
            "modes": MODES,
            "direction": "KL(generated || data)",
            "floor": at_best["reverse_kl"],
            "floor_modes": at_best["modes"],
        }

    def law(self, data) -> Tensor:
        return mode_probabilities(data.contents.splits["train"]["y"])

    def names(self, model, data) -> list[str]:
        """Of the scores that `score` gives."""
        return ["val/modes", "val/reverse_kl"]

    def score_notes(self, data, samples: int | None = None) -> dict[str, tuple[int, str]]:
        """Of how many samples each score is, and how it comes about, in a few words."""
        words = {"modes": f"of {MODES:,}", "reverse_kl": "KL(generated || data), nats"}
        return {f"val/{name}": (samples or self.samples, word) for name, word in words.items()}

    def real_baselines(self, data, samples: int | None = None) -> dict[str, float]:
        """What so many draws from the data's law score."""
        return {f"val/{name}": value for name, value in perfect_scores(self.law(data), samples or self.samples).items()}

    def collapsed(self, scores: Mapping[str, float]) -> str | None:
        """Why samples with these scores are to be called collapsed, None if they are not: under half of the modes."""
        found = scores.get("val/modes", math.nan)
        return f"{found:.0f} of {MODES:,} modes" if found < MODES / 2 else None

    def score(self, model, data, samples: int | None = None, seed: int = 0, is_final: bool = False) -> dict[str, float]:
        """The scores of `samples` samples, the same for the same seed."""
        device = float64_device(model.device)
        with isolated_rng(scoring_seed(seed)):
            self.prepare(data)
            coverage, finite = StackedCoverage(self.law(data)).to(device), AllFinite().to(device)
            for x, _ in generate_batches(model, data, samples or self.samples, self.batch_size, seed):
                finite.update(x.to(device))
                coverage.update(classify_modes(self.extractor, to_uint8(x)))
            return nan_unless_finite(
                {f"val/{name}": value.item() for name, value in coverage.compute().items()}, finite
            )

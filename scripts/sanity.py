"""Print a table of the scores of digits that are degraded in known ways, relative to other real digits.

python scripts/sanity.py    takes half a minute on two cores
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganrun.data.digits import Digits
from ganrun.data.images import to_float, to_uint8
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.reference_stats import measure_statistics
from ganrun.metrics.sampling import isolated_rng
from ganrun.metrics.score_inputs import Statistics
from ganrun.seeds import generator

CPU, SCORES = torch.device("cpu"), ("fd", "kid", "is", "prdc", "diversity")
COLUMNS = ("fd", "kid", "is", "precision", "recall", "density", "coverage", "diversity")


def add_noise(x: Tensor, deviation: float) -> Tensor:
    """Add noise from N(0, deviation^2) and clamp to [-1, 1]."""
    return (x + deviation * torch.randn(x.shape, generator=generator(1))).clamp(-1, 1)


def blur(x: Tensor) -> Tensor:
    """Replace each pixel by the mean of the 5 x 5 pixels around it."""
    return avg_pool2d(x, 5, 1, 2, count_include_pad=False)


def uniform_noise(x: Tensor) -> Tensor:
    return 2 * torch.rand(x.shape, generator=generator(1)) - 1


DEGRADATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # (digits, labels) -> images
    "other real digits": lambda x, y: x,
    "light noise, deviation .2": lambda x, y: add_noise(x, 0.2),
    "heavy noise, deviation .5": lambda x, y: add_noise(x, 0.5),
    "one class only (ones)": lambda x, y: x[y == 1],
    "blurred, 5 x 5": lambda x, y: blur(x),
    "uniform noise": lambda x, y: uniform_noise(x),
}


def load_digits() -> tuple[Tensor, Tensor]:
    """Load all 10,000 digits, shuffled: uint8 [N, 1, 28, 28], labels [N]."""
    splits = Digits(size=28, channels=1).load().splits.values()
    x, y = (torch.cat([split[key] for split in splits]) for key in "xy")
    order = torch.randperm(len(x), generator=generator(0))
    return x[order], y[order]


def score_images(images: Tensor, real: Statistics, extractor: LeNetExtractor) -> dict[str, float]:
    """Score uint8 images [N, 1, 28, 28]."""
    with isolated_rng(0):
        scores = FeatureScores(extractor, real, CPU, SCORES)
        for part in images.split(500):
            scores.update(part)
        return scores.compute()


def main() -> None:
    extractor = LeNetExtractor()
    x, y = load_digits()
    half = len(x) // 2
    real = measure_statistics(x[:half].split(500), half, extractor, CPU)
    print("| 5,000 digits | " + " | ".join(COLUMNS) + " |\n|---|" + "---:|" * len(COLUMNS))
    for name, degrade in DEGRADATIONS.items():
        values = score_images(to_uint8(degrade(to_float(x[half:]), y[half:])), real, extractor)
        print(f"| {name} | " + " | ".join(f"{values[column]:.3g}" for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()

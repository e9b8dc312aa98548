"""Prints what the scores say of digits that are spoilt in known ways, against other real digits, as a table.

python scripts/sanity.py    half a minute on two cores
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganrun.data.digits import Digits
from ganrun.data.images import to_float, to_uint8
from ganrun.metrics import reference_stats
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.sampling import isolated_rng
from ganrun.seeds import generator

CPU, KINDS = torch.device("cpu"), ("fd", "kid", "is", "prdc", "diversity")
COLUMNS = ("fd", "kid", "is", "precision", "recall", "density", "coverage", "diversity")


def noisy(x: Tensor, deviation: float) -> Tensor:
    """Under N(0, deviation^2), clamped to [-1, 1]."""
    return (x + deviation * torch.randn(x.shape, generator=generator(1))).clamp(-1, 1)


def blurred(x: Tensor) -> Tensor:
    """Each pixel the mean of the 5 x 5 about it."""
    return avg_pool2d(x, 5, 1, 2, count_include_pad=False)


def uniform(x: Tensor) -> Tensor:
    return 2 * torch.rand(x.shape, generator=generator(1)) - 1


SPOILT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # (digits, labels) -> pictures
    "other real digits": lambda x, y: x,
    "light noise, deviation .2": lambda x, y: noisy(x, 0.2),
    "heavy noise, deviation .5": lambda x, y: noisy(x, 0.5),
    "one class only (ones)": lambda x, y: x[y == 1],
    "blurred, 5 x 5": lambda x, y: blurred(x),
    "uniform noise": lambda x, y: uniform(x),
}


def digits() -> tuple[Tensor, Tensor]:
    """All 10,000, shuffled: uint8 [N, 1, 28, 28], labels [N]."""
    splits = Digits(size=28, channels=1).load().splits.values()
    x, y = (torch.cat([split[key] for split in splits]) for key in "xy")
    order = torch.randperm(len(x), generator=generator(0))
    return x[order], y[order]


def scores(images: Tensor, real: reference_stats.Statistics, extractor: LeNetExtractor) -> dict[str, float]:
    """Of uint8 pictures [N, 1, 28, 28]."""
    with isolated_rng(0):
        found = FeatureScores(extractor, real, CPU, KINDS)
        for part in images.split(500):
            found.update(part)
        return {name.removesuffix("_lenet"): value for name, value in found.compute().items()}


def main() -> None:
    extractor = LeNetExtractor()
    x, y = digits()
    half = len(x) // 2
    real = reference_stats.measure_statistics(x[:half].split(500), half, extractor, CPU)
    print("| 5,000 digits | " + " | ".join(COLUMNS) + " |\n|---|" + "---:|" * len(COLUMNS))
    for name, spoil in SPOILT.items():
        found = scores(to_uint8(spoil(to_float(x[half:]), y[half:])), real, extractor)
        print(f"| {name} | " + " | ".join(f"{found[column]:.3g}" for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()

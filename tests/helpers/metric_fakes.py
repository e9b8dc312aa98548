"""Small stand-ins for a data module, models and an extractor, and random features."""

from functools import partial
from types import SimpleNamespace

import torch

from ganrun.data.images import to_float
from ganrun.data.keys import Key
from ganrun.metrics.extractors.base import Extractor


def seeded_generator(seed):
    return torch.Generator().manual_seed(seed)


def normal_rows(n, d, seed, scale=1.0, dtype=torch.float64):
    """n rows of d numbers from a normal distribution, the same for the same seed."""
    return torch.randn(n, d, generator=seeded_generator(seed), dtype=dtype) * scale


float_rows = partial(normal_rows, dtype=torch.float32)


class Pictures:
    """Data of random images x with labels i % 10, or of two domains a, b."""

    name, shape, reference_splits = "fake", (1, 28, 28), ("train",)
    classes = [str(digit) for digit in range(10)]
    intensity = None

    def __init__(self, n=60, keys=("x",), shape=(1, 28, 28), is_paired=False, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.arrays = {key: torch.randint(0, 256, (n, *shape), generator=g, dtype=torch.uint8) for key in keys}
        self.gives, self.shape, self.is_paired = (*keys, "picture"), shape, is_paired
        self.keys = {key: Key("picture", shape) for key in keys} | {"y": Key("label")}
        self.fingerprint = f"fake{n}{keys}{shape}{seed}"
        self.reads = 0

    def reference(self, key="x", limit=None):
        self.reads += 1
        yield from self.arrays[key][:limit].split(25)

    def reference_count(self, key="x"):
        return len(self.arrays[key])

    def labels(self, n):
        return torch.arange(n) % 10

    def conditions(self, n, keys, rows=slice(None)):
        return {key: self.labels(n)[rows] for key in keys}

    test_split = "test"

    def test_count(self, key):
        return len(self.arrays[key])

    def test(self, key, which=slice(None)):
        return self.labels(len(self.arrays["a"]))[which] if key == "y" else to_float(self.arrays[key][which])


class Noise:
    """A model whose samples are noise from the given generator."""

    needs, device = ("x",), torch.device("cpu")

    def __init__(self, shape=(1, 28, 28), needs=("x",)):
        self.shape, self.needs, self.asked = shape, needs, []

    def sample(self, n, y=None, generator=None):
        self.asked.append(y)
        return torch.rand(n, *self.shape, generator=generator) * 2 - 1


class Points:
    """A model that returns given points in their order."""

    needs, device = ("x",), torch.device("cpu")

    def __init__(self, points):
        self.points = points

    def sample(self, n, y=None, generator=None):
        part, self.points = self.points[:n], self.points[n:]
        return part


class Shift(Noise):
    """Translates by adding a constant towards b, and subtracting it towards a."""

    needs = ("a", "b")

    def __init__(self, by):
        self.by = by

    def translate(self, x, to):
        return x + self.by if to == "b" else x - self.by


class Means(Extractor):
    """Features: means of the quarters of an image; logits: minus the distance of its mean from 0, 1, 2 ... tenths."""

    name, resize, num_features, num_logits = "means", "none", 4, 10
    classes = Pictures.classes

    def load(self):
        self.digest = "0" * 64

    def __call__(self, images):
        x = images.float().mean(1)
        features = torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return features, -(x.mean((1, 2))[:, None] - torch.arange(10) * 25.5).abs() / 25.5


def mixture(centers, sigma):
    source = SimpleNamespace(centers=torch.tensor(centers), sigma=sigma)
    return SimpleNamespace(name="mixture", source=source, labels=lambda n: torch.arange(n) % len(centers))

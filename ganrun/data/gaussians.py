"""Mixtures of Gaussians in the plane; the modes that a model finds can be counted."""

import math

import torch
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.source import Source
from ganrun.errors import UserError
from ganrun.seeds import named_generator


class Mixture(Source):
    """Points around `centers`, equally many around each; y is the index of the centre.

    centers: float [K, 2].  sigma: standard deviation in each direction.  seed: of the points, not of the training.
    """

    centers: Tensor

    def __init__(self, centers: Tensor, sigma: float, points: int, seed: int):
        if points < len(centers):
            raise UserError(f"data.points must be at least the number of modes, {len(centers)}, got {points}.")
        if sigma <= 0:
            raise UserError(f"data.sigma must be positive, got {sigma}.")
        self.centers, self.sigma, self.points, self.seed = centers, sigma, points, seed
        self.classes = [str(mode) for mode in range(len(centers))]

    def load(self) -> LoadedData:
        generator = named_generator(self.seed, self.name)
        noise = torch.randn(self.points, 2, generator=generator)
        y = torch.randperm(self.points, generator=generator) % len(self.centers)
        x = self.centers[y] + self.sigma * noise
        options = {"name": self.name, "sigma": self.sigma, "centers": self.centers.tolist(), "seed": self.seed}
        return cache.in_memory({"train-x": x.numpy(), "train-y": y.numpy()}, options, classes=self.classes)


class Ring(Mixture):
    """Modes on a circle, the first at angle 0."""

    name = "ring"

    def __init__(self, modes: int, radius: float, sigma: float, points: int, seed: int = 0):
        if modes < 1:
            raise UserError(f"data.modes must be positive, got {modes}.")
        angle = torch.arange(modes) * (2 * math.pi / modes)
        super().__init__(radius * torch.stack([angle.cos(), angle.sin()], dim=1), sigma, points, seed)


class Grid(Mixture):
    """side x side modes on a square grid around the origin, `spacing` apart."""

    name = "grid"

    def __init__(self, side: int, spacing: float, sigma: float, points: int, seed: int = 0):
        if side < 1:
            raise UserError(f"data.side must be positive, got {side}.")
        line = (torch.arange(side) - (side - 1) / 2) * spacing
        super().__init__(torch.cartesian_prod(line, line), sigma, points, seed)

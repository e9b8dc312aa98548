"""The conditional GAN."""

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.models.base import Batch
from ganrun.models.gan import GAN
from ganrun.networks.eval_mode import eval_mode


class CGAN(GAN):
    """Mirza & Osindero 2014, eq. 2: both players are told the class y; how it joins is the networks' matter.

    generator: (z [B, z_dim], y [B]) -> [B, ...].  discriminator: (x [B, ...], y [B]) -> scores.
    Departure: z ~ N(0, I) as in the other models, where the paper draws from the unit hypercube.
    """

    needs = ("x", "y")

    def __init__(self, *args, classes: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.classes = classes

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x, batch["y"])

    def fake_like(self, batch: Batch) -> Tensor:
        return self.generator(self.noise(len(batch["y"])), batch["y"])

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Examples [n, ...] of the classes y [n]; without y the classes take turns."""
        y = torch.arange(n) % self.classes if y is None else y
        with eval_mode(self.net("generator")) as net:
            return net(self.noise(n, generator), y.to(self.device))

    def pictures(self, data, columns: int = 10, most: int = 20):
        columns = columns if len(data.shape) == 3 else 2500 // self.classes  # pictures, or points
        y = torch.arange(min(self.classes, most)).repeat_interleave(columns)
        return {"samples": (self.sample(len(y), y, seeds.generator(0)), columns)}

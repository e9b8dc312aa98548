"""The conditional GAN."""

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.models.base import Batch
from ganrun.models.gan import GAN


class CGAN(GAN):
    """Mirza & Osindero 2014, eq. 2: generator and discriminator get the class y as a second input.

    generator: (z [B, z_dim], y [B]) -> x [B, ...].  discriminator: (x [B, ...], y [B]) -> scores.
    Departure: z ~ N(0, I) as in the other models; the paper samples the unit hypercube.
    """

    needs, takes = ("x", "y"), ("y",)

    def __init__(self, *args, classes: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.classes = classes

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x, batch["y"])

    def fake_like(self, batch: Batch) -> Tensor:
        return self.generator(self.draw(self.noise, len(batch["y"])), batch["y"])

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Return examples [n, ...] of the classes y [n]; without y of the classes 0, 1, 2, ... in turn."""
        y = torch.arange(n) % self.classes if y is None else y
        return self.decode(self.noise(n, generator), y.to(self.device))

    def pictures(self, data, columns: int = 10, max_rows: int = 20):
        columns = 2500 // self.classes if data.kind == "points" else columns
        y = torch.arange(min(self.classes, max_rows)).repeat_interleave(columns)
        return {"samples": (self.sample(len(y), y, seeds.generator(0)), columns)}

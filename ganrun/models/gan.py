"""The original GAN."""

import torch
from torch import Tensor, nn

from ganrun import seeds
from ganrun.models import losses
from ganrun.models.base import Adversarial, Batch, Player
from ganrun.networks import latents
from ganrun.networks.eval_mode import eval_mode


class GAN(Adversarial):
    """Goodfellow et al. 2014, Algorithm 1: k steps of D, each on fresh data and noise, then one step of G.

    generator: z [B, z_dim] -> x [B, ...].  discriminator: x [B, ...] -> scores.
    generator_loss: non_saturating or minimax.
    """

    averages = ("generator",)

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, z_dim, k, generator_loss="non_saturating", **base
    ):
        super().__init__(**base)
        self.generator, self.discriminator = generator, discriminator
        self.z_dim, self.k, self.loss_of_fakes = z_dim, k, losses.generator_loss(generator_loss)

    def players(self) -> list[Player]:
        return [
            Player("discriminator", [self.discriminator], self.discriminator_loss),
            Player("generator", [self.generator], self.generator_loss, every=self.k),
        ]

    def discriminator_loss(self, batch: Batch):
        real, fake = self.score(batch["x"], batch), self.score(self.fake_like(batch), batch)
        return {"loss": losses.logistic(real, fake), "real": real, "fake": fake}

    def generator_loss(self, batch: Batch):
        return self.loss_of_fakes(self.score(self.fake_like(batch), batch))

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)

    def fake_like(self, batch: Batch) -> Tensor:
        return self.generator(self.draw(self.noise, len(batch["x"])))

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return latents.normal(n, self.z_dim, self.some_weight, generator)

    def sample(self, n: int, y: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Return examples [n, ...] of the averaged generator; y is for conditional models."""
        with eval_mode(self.net("generator")) as net:
            return net(self.noise(n, generator))

    def pictures(self, data):
        n = 2500 if data.kind == "points" else 64
        conditions = data.conditions(n, self.takes) if self.takes else {}
        return {"samples": (self.sample(n, **conditions, generator=seeds.generator(0)), 8)}

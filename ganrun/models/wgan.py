"""The Wasserstein GAN."""

import torch

from ganrun.models import losses
from ganrun.models.base import Batch, Player
from ganrun.models.gan import GAN


class WGAN(GAN):
    """Arjovsky et al. 2017, Algorithm 1: n_critic critic steps, weights clamped to [-c, c], then one step of G.

    The critic's player is named "discriminator", as in the other models. The term `distance` is the critic's estimate
    of the Wasserstein distance, up to its Lipschitz constant.
    """

    def __init__(self, *args, n_critic: int, c: float, **kwargs):
        super().__init__(*args, k=n_critic, **kwargs)
        self.c = c

    def discriminator_loss(self, batch: Batch):
        real, fake = self.score(batch["x"], batch), self.score(self.fake_like(batch), batch)
        loss = losses.wasserstein(real, fake)
        return {"loss": loss, "distance": -loss, "real": real, "fake": fake}

    def generator_loss(self, batch: Batch):
        return -losses.at_least_float32(self.score(self.fake_like(batch), batch)).mean()

    @torch.no_grad()
    def after_turn(self, player: Player) -> None:
        if player.name == "discriminator":
            for w in self.discriminator.parameters():
                w.clamp_(-self.c, self.c)

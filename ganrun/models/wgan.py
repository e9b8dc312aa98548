"""The Wasserstein GAN."""

from ganrun.models.gan import GAN
from ganrun.models.losses import Wasserstein
from ganrun.models.regularizers import WeightClamp


class WGAN(GAN):
    """Arjovsky et al. 2017, Algorithm 1: n_critic critic steps, weights clamped to [-c, c], then one step of G.

    The critic's player is named "discriminator", as in the other models.
    """

    def __init__(self, *args, n_critic: int, c: float, loss=None, regularizers=(), **kwargs):
        super().__init__(*args, d_steps=n_critic, loss=loss or Wasserstein(), regularizers=regularizers, **kwargs)
        self.regularizers.by_name["weight_clamp"] = WeightClamp(c)

"""The deep convolutional GAN."""

import torch
from torch import Tensor

from ganrun.models.gan import GAN
from ganrun.networks import latents


class DCGAN(GAN):
    """Radford et al. 2016: the GAN of Goodfellow et al. with convolutional networks and uniform noise (section 4)."""

    needs = {"x": "picture"}

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return latents.uniform(n, self.z_dim, self.some_weight, generator)

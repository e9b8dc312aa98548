"""The objective of BEGAN, which keeps the errors of real and fake examples in proportion."""

import torch
from torch import Tensor

from ganrun.models.losses import at_least_float32
from ganrun.networks.exact_buffers import ExactBuffers


class Equilibrium(ExactBuffers):
    """L(x) - k L(G(z)) and L(G(z)), for scores -L. Berthelot et al. 2017, section 3.4; the update of k is eq. 9.

    gamma: the ratio E L(G(z)) / E L(x) that k maintains.  rate: lambda_k, the learning rate of k.
    k and the measure of convergence M = L(x) + |gamma L(x) - L(G(z))| (section 3.4.1) are kept in buffers.
    """

    is_relative = False
    k: Tensor
    m: Tensor

    def __init__(self, gamma: float, rate: float):
        super().__init__()
        self.gamma, self.rate = gamma, rate
        for name in ("k", "m"):
            self.register_buffer(name, torch.tensor(0.0))

    def discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        of_real, of_fake = (-at_least_float32(scores).mean() for scores in (real, fake))
        loss, before = of_real - self.k.clone() * of_fake, self.k.clone()
        balance = (self.gamma * of_real - of_fake).detach()
        self.k.add_(self.rate * balance).clamp_(0, 1)
        self.m.copy_(of_real.detach() + balance.abs())
        return {"loss": loss, "k": before, "M": self.m.clone(), "L_real": of_real, "L_fake": of_fake}

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -at_least_float32(fake).mean()

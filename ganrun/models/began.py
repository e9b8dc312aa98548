"""Boundary equilibrium GAN."""

import torch
from torch import Tensor

from ganrun.models.base import Batch
from ganrun.models.gan import GAN
from ganrun.networks.exact_buffers import ExactBuffers


class BEGAN(ExactBuffers, GAN):
    """Berthelot et al. 2017: the discriminator is an autoencoder, judged by `Equilibrium`.

    stall_kimg: thousand images without a smaller M, on average over so many, after which all learning rates are halved.
    Departure: k follows the fakes of D's turn, where the paper's update has those of G's.
    """

    totals: Tensor  # of M and of batches since the last look, and the smallest mean M so far

    def __init__(self, *args, stall_kimg: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.period = 1000 * stall_kimg
        self.register_buffer("totals", torch.tensor([0.0, 0.0, torch.finfo().max]))

    def discriminator_loss(self, batch: Batch):
        terms = super().discriminator_loss(batch)
        self.totals[:2] += torch.stack([terms["M"], torch.ones_like(terms["M"])])
        return {name: terms[name] for name in terms if name not in ("real", "fake")}  # here, fakes score higher

    def _train_on_batch(self, batch: Batch) -> None:
        before = self.images_seen
        super()._train_on_batch(batch)
        if before // self.period < self.images_seen // self.period:
            self.halve_rates_if_stalled()

    def halve_rates_if_stalled(self) -> None:
        """Halve all learning rates unless the mean M since the last look is the smallest so far."""
        total, count, smallest = self.totals.tolist()
        groups = [group for name in self.parameters_of for group in self.optimizer_of(name).param_groups]
        for group in groups if total / count >= smallest else ():
            group.update({name: group[name] / 2 for name in ("lr", "initial_lr") if name in group})
        self.totals.copy_(self.totals.new_tensor([0.0, 0.0, min(smallest, total / count)]))

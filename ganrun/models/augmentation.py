"""Augmentation of all that a discriminator sees, real and generated, against overfitting of small data sets."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ganrun.errors import UserError
from ganrun.models.regularizers import Regularizer
from ganrun.networks.augmentation import Augmentation, augment_input


class DiffAugment(Regularizer):
    """D(T(x)) and D(T(G(z))) in the turns of both players. Zhao et al. 2020, eq. 3 to 5.

    policy: names of the augmentations in networks/augmentation.py.  share: probability of each for each image.
    """

    def __init__(self, policy: Sequence[str], share: float = 1.0):
        self.policy, self.share = policy, share

    def prepare(self, network: nn.Module) -> None:
        network.add_module("augmentation", Augmentation(self.policy, self.share))
        network.register_forward_pre_hook(augment_input)


class AdaptiveDiffAugment(DiffAugment):
    """The share follows how far the discriminator overfits. Karras et al. 2020 (ADA), section 3.1.

    The heuristic is r = E sign(D(x)) of real images x: above `target` the share grows, below it shrinks.
    kimg: thousand images in which the share can go from 0 to 1.
    Departures: the augmentations are those of DiffAugment; the share changes with each batch, not every fourth.
    """

    def __init__(self, policy: Sequence[str], target: float, kimg: float):
        super().__init__(policy, share=0.0)
        self.target, self.kimg = target, kimg

    @torch.no_grad()
    def observe(self, network: nn.Module, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        share = cast("Augmentation", network.augmentation).share
        if "real" not in terms:
            raise UserError(
                "regularizer=ada needs scores that are positive for real examples. Use diffaugment instead."
            )
        real = terms["real"]
        share += (real.sign().mean() - self.target).sign() * len(real) / (1000 * self.kimg)
        share.clamp_(0, 1)
        return {"augmented": share.clone()}

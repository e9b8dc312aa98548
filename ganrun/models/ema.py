"""The moving average of a generator's weights."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class ExponentialMovingAverage:
    """Exponential moving average with a half-life in images, so that it does not depend on the batch size.

    half_life_kimg: thousands of images after which a weight counts half.
    ramp_up: limits the half-life to this share of the images seen, so that early weights are soon forgotten.
    Karras et al. 2020 (StyleGAN2-ADA), with ramp_up .05.
    """

    half_life_kimg: float
    ramp_up: float = 0.05

    def decay(self, images: int, images_seen: int) -> float:
        """Return the factor of the old average in an update that covers `images`, with `images_seen` before it."""
        half_life = min(self.half_life_kimg * 1000, self.ramp_up * (images_seen + images))
        return 0.5 ** (images / half_life)

    @torch.no_grad()
    def update(self, averaged: nn.Module, network: nn.Module, images: int, images_seen: int) -> None:
        """Move the averaged parameters towards the network's; copy its buffers (BatchNorm's statistics)."""
        share = 1 - self.decay(images, images_seen)
        means, weights = tuple(averaged.parameters()), tuple(network.parameters())
        torch._foreach_lerp_(means, weights, share)  # pyright: ignore[reportPrivateImportUsage]
        for mean, current in zip(averaged.buffers(), network.buffers(), strict=True):
            mean.copy_(current)

"""The moving average of a network's weights."""

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class ExponentialMovingAverage:
    """An exponential moving average, its memory measured in images, so that it does not change with the batch size.

    half_life_kimg: images (in thousands) after which a weight counts half.
    ramp_up: the half-life is at most this share of the images seen, so that the first weights are soon forgotten.
    Karras et al. 2020 (StyleGAN2-ADA), which takes .05.
    """

    half_life_kimg: float
    ramp_up: float = 0.05

    def decay(self, images: int, images_seen: int) -> float:
        """The weight that the average keeps in an update that covers `images`, after `images_seen` before it."""
        half_life = min(self.half_life_kimg * 1000, self.ramp_up * (images_seen + images))
        return 0.5 ** (images / half_life)

    @torch.no_grad()
    def update(self, mean: nn.Module, live: nn.Module, images: int, images_seen: int) -> None:
        """Moves `mean`'s parameters towards `live`'s; its buffers (BatchNorm's statistics) are copied."""
        keep = self.decay(images, images_seen)
        torch._foreach_lerp_(list(mean.parameters()), list(live.parameters()), 1 - keep)
        for m, b in zip(mean.buffers(), live.buffers(), strict=True):
            m.copy_(b)

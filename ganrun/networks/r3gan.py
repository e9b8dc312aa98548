"""Residual networks without normalization layers, after Huang et al. 2024, section 3.3, at a small size.

Departures, for a CPU: the blocks begin at half of the image's sides, and all of them have the same width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganrun.networks.dcgan import smallest_map

EXPANSION, GROUP = 2, 16  # channels inside of a block per channel outside; channels per group of the 3x3 convolution


def leaky(x: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x, 0.2)


class BottleneckBlock(nn.Module):
    """x + 1x1, grouped 3x3 and 1x1 convolution of x: [B, width, H, W] -> same shape.

    The last convolution starts at zero, as in the paper's Fixup: at first, a block changes nothing.
    """

    def __init__(self, width: int):
        super().__init__()
        inner = EXPANSION * width
        self.widen = nn.Conv2d(width, inner, 1)
        self.mix = nn.Conv2d(inner, inner, 3, padding=1, groups=max(1, inner // GROUP))
        self.narrow = nn.Conv2d(inner, width, 1, bias=False)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(leaky(self.mix(leaky(self.widen(x)))))


def blocks(width: int, count: int) -> list[nn.Module]:
    return [BottleneckBlock(width) for _ in range(count)]


class Generator(nn.Module):
    """Latents [B, z_dim] -> images [B, *shape] in [-1, 1]. Sides as DCGAN's; `width` channels in all layers.

    blocks_per_size: residual blocks at each size. Departure: tanh at the end, so that images stay in [-1, 1].
    """

    def __init__(self, shape: Sequence[int], z_dim: int, width: int, blocks_per_size: int):
        super().__init__()
        smallest, n = smallest_map(shape)
        self.start = nn.Parameter(torch.randn(width, *smallest))
        self.scale = nn.Linear(z_dim, width, bias=False)
        layers = blocks(width, blocks_per_size)
        for _ in range(n - 1):
            layers += [nn.Upsample(scale_factor=2, mode="bilinear"), *blocks(width, blocks_per_size)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, shape[0], 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(self.start * self.scale(z)[:, :, None, None])


class Discriminator(nn.Module):
    """Images [B, *shape] -> scores [B]: the generator mirrored, and a convolution of each channel over all pixels."""

    def __init__(self, shape: Sequence[int], width: int, blocks_per_size: int):
        super().__init__()
        smallest, n = smallest_map(shape)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, 2, 1)]
        for _ in range(n - 1):
            layers += [*blocks(width, blocks_per_size), nn.AvgPool2d(2)]  # bilinear, at half the size
        self.layers = nn.Sequential(*layers, *blocks(width, blocks_per_size))
        self.pool = nn.Conv2d(width, width, smallest, groups=width, bias=False)
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.pool(self.layers(x)).flatten(1)).squeeze(1)

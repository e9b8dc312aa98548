"""Residual networks for small images, without BatchNorm in the discriminator: Gulrajani et al. 2017, appendix C;
Miyato et al. 2018, table 4."""

from collections.abc import Sequence

from torch import Tensor, nn

from ganrun.networks.dcgan import smallest_map


class ResidualBlock(nn.Module):
    """shortcut(x) + layers(x)."""

    def __init__(self, shortcut: Sequence[nn.Module], layers: Sequence[nn.Module]):
        super().__init__()
        self.shortcut, self.layers = nn.Sequential(*shortcut), nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.layers(x)


def upsampling_block(width: int) -> ResidualBlock:
    """Double the sides of feature maps of `width` channels, with BatchNorm."""
    layers = [nn.BatchNorm2d(width), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1)]
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
    return ResidualBlock([nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 1)], layers)


def first_block(channels: int, width: int) -> ResidualBlock:
    """Halve the sides of images: no ReLU before the first convolution."""
    layers = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
    return ResidualBlock([nn.AvgPool2d(2), nn.Conv2d(channels, width, 1)], [*layers, nn.AvgPool2d(2)])


def block(width: int, halves: bool) -> ResidualBlock:
    """Transform feature maps of `width` channels, and halve their sides if asked for."""
    layers = [nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
    return (
        ResidualBlock([nn.Conv2d(width, width, 1), nn.AvgPool2d(2)], [*layers, nn.AvgPool2d(2)])
        if halves
        else ResidualBlock([], layers)
    )


def count_halvings(shape: Sequence[int]) -> int:
    """Return how often the discriminator halves the sides of images [B, *shape], once or more."""
    (height, _), n = smallest_map(shape)
    return n if height > 4 else max(1, n - 1)


class Generator(nn.Module):
    """Latents [B, z_dim] -> images [B, *shape] in [-1, 1]. Sides as DCGAN's; `width` channels in all layers."""

    def __init__(self, shape: Sequence[int], z_dim: int, width: int):
        super().__init__()
        (height, side), n = smallest_map(shape)
        start = [nn.Linear(z_dim, width * height * side), nn.Unflatten(1, (width, height, side))]
        end = [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, shape[0], 3, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*start, *(upsampling_block(width) for _ in range(n)), *end)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)


class Discriminator(nn.Module):
    """Images [B, *shape] -> scores [B]: blocks that halve the sides, to 7 or 8 pixels, two more, and a sum over pixels.

    Gulrajani et al. take the mean over pixels.
    """

    def __init__(self, shape: Sequence[int], width: int):
        super().__init__()
        halving = [block(width, halves=True) for _ in range(count_halvings(shape) - 1)]
        plain = [block(width, halves=False) for _ in range(2)]
        self.features = nn.Sequential(first_block(shape[0], width), *halving, *plain, nn.ReLU())
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.features(x).sum((2, 3))).squeeze(1)


class Encoder(nn.Module):
    """Images [B, *shape] -> codes [B, outputs]: the discriminator's blocks, then a linear layer over all pixels."""

    def __init__(self, shape: Sequence[int], outputs: int, width: int):
        super().__init__()
        height, side = (length >> count_halvings(shape) for length in shape[1:])
        self.features = Discriminator(shape, width).features
        self.code = nn.Linear(width * height * side, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self.features(x).flatten(1))

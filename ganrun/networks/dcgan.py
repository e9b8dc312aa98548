"""Convolutional networks of Radford et al. 2016, section 3: strides, BatchNorm, no hidden dense layer."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ganrun.networks.minibatch import minibatch_layers
from ganrun.networks.sizes import UnfitSizeError, advise_size

MOST_CHANNELS = 16  # in units of `width`: the paper's 1024 for 64, reached at 128 pixels; larger images add layers only


def smallest_map(shape: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Return height and width of the smallest feature map, and how often they double up to an image of `shape`.

    The shorter side of the map has 4 to 7 pixels. Raises UserError for points, and for sides that give no such map.
    """
    if len(shape) != 3:
        raise UnfitSizeError("Convolutional networks need images, got points.")
    height, width = shape[1:]
    nearest = nearest_side(height), nearest_side(width)
    if nearest != (height, width):
        raise UnfitSizeError(
            "Convolutional networks need images whose sides are 4 to 8 times a power of two, such as 28, 32, 48, 64, "
            f"96, 128 and 256 pixels, got {height}x{width}. {advise_size(*nearest)}"
        )
    n = count_doublings(min(height, width))
    return (height >> n, width >> n), n


def smallest_side_and_doublings(shape: Sequence[int]) -> tuple[int, int]:
    """Return `smallest_map` of a square image, with one side as a number: for users' networks of version 0.1."""
    (height, width), n = smallest_map(shape)
    if height != width:
        raise UnfitSizeError(f"This network needs square images, got {shape[1]}x{shape[2]}. Set data.size={shape[1]}.")
    return height, n


def count_doublings(side: int) -> int:
    """Return how often 4 to 7 pixels double up to a side."""
    return (side // 4).bit_length() - 1


def nearest_side(side: int) -> int:
    """Return the nearest side that is 4 to 8 times a power of two above 1."""
    unit = 2 ** max(1, count_doublings(side))
    return min((unit * times for times in range(4, 9)), key=lambda allowed: abs(allowed - side))


def channels_of_layers(n: int, width: int) -> list[int]:
    """Return the channels of n hidden layers, from the one next to the image: doubled up to 16 times `width`."""
    return [width * min(2**i, MOST_CHANNELS) for i in range(n)]


class Generator(nn.Module):
    """Latents [B, z_dim] -> images [B, *shape] in [-1, 1].

    shape: (C, H, W); H and W are each 4 to 8 times a power of two above 1.
    width: channels of the last hidden layer; they double with each layer before it, up to 16 times as many.
    BatchNorm and ReLU after every layer but the last, which has tanh.
    """

    def __init__(self, shape: Sequence[int], z_dim: int, width: int = 64):
        super().__init__()
        smallest, n = smallest_map(shape)
        widths = channels_of_layers(n, width)[::-1]
        layers = [nn.ConvTranspose2d(z_dim, widths[0], smallest, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, shape[0], 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])


class Discriminator(nn.Module):
    """Images [B, *shape] -> scores [B]: the generator mirrored, leaky ReLU of slope .2, no BatchNorm at the input.

    `features(x)` are the features before the last convolution: [B, channels, *smallest].
    batch_norm: False omits BatchNorm; the convolutions before it get biases instead.
    minibatch: name of a layer of networks/minibatch.py after the features; None: none.
    """

    def __init__(self, shape: Sequence[int], width: int = 64, batch_norm: bool = True, minibatch: str | None = None):
        super().__init__()
        self.smallest, n = smallest_map(shape)
        widths = channels_of_layers(n, width)
        layers = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for inputs, outputs in pairwise(widths):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.LeakyReLU(0.2, True))
        comparison, self.channels = minibatch_layers(minibatch, (widths[-1], *self.smallest))
        self.features = nn.Sequential(*layers, *comparison)
        self.score = nn.Conv2d(self.channels, 1, self.smallest)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.features(x)).flatten()


class Encoder(nn.Module):
    """Images [B, *shape] -> codes [B, outputs]: the discriminator's layers with a last convolution of its own."""

    def __init__(self, shape: Sequence[int], outputs: int, width: int = 64, batch_norm: bool = True):
        super().__init__()
        judge = Discriminator(shape, width, batch_norm)
        self.features = judge.features
        self.code = nn.Conv2d(judge.channels, outputs, judge.smallest)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self.features(x)).flatten(1)

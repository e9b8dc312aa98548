"""Convolutional networks of Radford et al. 2016, section 3: strides, BatchNorm, no hidden dense layer."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ganrun.errors import UserError

SMALLEST = {28: 7, 32: 4, 64: 4, 128: 4}  # side of an image: side of its smallest feature map, in pixels


def smallest_side_and_doublings(shape: Sequence[int]) -> tuple[int, int]:
    """Return the side of the smallest feature map, and how often it doubles up to an image of `shape` (C, H, W)."""
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in SMALLEST:
        examples = "points" if len(shape) == 1 else f"images of {shape[1]}x{shape[2]} pixels"
        raise UserError(
            f"Convolutional networks need square images of {', '.join(map(str, SMALLEST))} pixels, got {examples}. "
            "Set one of these, for example data.size=32, or use network=mlp."
        )
    smallest = SMALLEST[shape[1]]
    return smallest, (shape[1] // smallest).bit_length() - 1


class Generator(nn.Module):
    """Latents [B, z_dim] -> images [B, *shape] in [-1, 1].

    shape: (C, H, W), H = W one of 28, 32, 64, 128.  width: channels of the last hidden layer; they double with each
    layer before it.  BatchNorm and ReLU after every layer but the last, which has tanh.
    """

    def __init__(self, shape: Sequence[int], z_dim: int, width: int = 64):
        super().__init__()
        smallest, n = smallest_side_and_doublings(shape)
        widths = [width * 2**i for i in reversed(range(n))]
        layers = [nn.ConvTranspose2d(z_dim, widths[0], smallest, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(width, shape[0], 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])


class Discriminator(nn.Module):
    """Images [B, *shape] -> scores [B]: the generator mirrored, leaky ReLU of slope .2, no BatchNorm at the input.

    `features(x)` are the features before the last convolution: [B, channels, smallest, smallest].
    batch_norm: False omits BatchNorm; the convolutions before it get biases instead.
    """

    def __init__(self, shape: Sequence[int], width: int = 64, batch_norm: bool = True):
        super().__init__()
        self.smallest, n = smallest_side_and_doublings(shape)
        widths = [width * 2**i for i in range(n)]
        layers = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for inputs, outputs in pairwise(widths):
            layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.LeakyReLU(0.2, True))
        self.features = nn.Sequential(*layers)
        self.channels = widths[-1]
        self.score = nn.Conv2d(self.channels, 1, self.smallest)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.features(x)).flatten()

"""Generator and patch discriminator of CycleGAN: Zhu et al. 2017, appendix 7.2."""

from collections.abc import Sequence

from torch import Tensor, nn

from ganrun.networks.sizes import UnfitSizeError, advise_size

MULTIPLE = 4  # of the sides: the generator halves them twice, and doubles them twice
MIN_SIDE = 24  # pixels; with fewer, the discriminator's last InstanceNorm has a single value to normalize


def check_sides(shape: Sequence[int]) -> None:
    """Raise UserError unless the examples are images whose sides can be halved twice and are at least MIN_SIDE."""
    if len(shape) != 3:
        raise UnfitSizeError("CycleGAN's networks need images, got points.")
    height, width = shape[1:]
    nearest = nearest_multiple(height), nearest_multiple(width)
    if nearest != (height, width):
        raise UnfitSizeError(
            f"CycleGAN's networks need images whose height and width are multiples of {MULTIPLE} and at least "
            f"{MIN_SIDE}, got {height}x{width}. {advise_size(*nearest)}"
        )


def nearest_multiple(side: int) -> int:
    """Return the nearest side that the generator takes."""
    return max(MIN_SIDE, MULTIPLE * ((side + MULTIPLE // 2) // MULTIPLE))


def with_instance_norm(convolution: nn.Module, channels: int, activation: nn.Module) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(channels), activation]


class Residual(nn.Module):
    """x + two 3x3 convolutions of x with reflection padding: [B, C, H, W] -> same shape."""

    def __init__(self, channels: int):
        super().__init__()
        layers = []
        for activation in (nn.ReLU(True), nn.Identity()):
            convolution = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
            layers += with_instance_norm(convolution, channels, activation)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """Images [B, C, H, W] in [-1, 1] -> images of the same shape: c7s1-w, d2w, d4w, R4w x blocks, u2w, uw, c7s1-C.

    The last layer has tanh and no norm, as in the authors' code.

    Fully convolutional: it takes images of other sizes, too, whose sides are multiples of `multiple`.
    shape: (C, H, W) of training images, H and W multiples of 4 and at least 24.  width: w, 64 in the paper.
    blocks: residual blocks; None: the paper's 6 up to 128 pixels and 9 above.
    """

    multiple = MULTIPLE

    def __init__(self, shape: Sequence[int], width: int = 64, blocks: int | None = None):
        super().__init__()
        check_sides(shape)
        channels = shape[0]
        blocks = blocks if blocks is not None else (6 if max(shape[1:]) <= 128 else 9)
        first = nn.Conv2d(channels, width, 7, padding=3, padding_mode="reflect")
        layers = with_instance_norm(first, width, nn.ReLU(True))
        for w in (width, 2 * width):
            layers += with_instance_norm(nn.Conv2d(w, 2 * w, 3, 2, 1), 2 * w, nn.ReLU(True))
        layers += [Residual(4 * width) for _ in range(blocks)]
        for w in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1)
            layers += with_instance_norm(up, w // 2, nn.ReLU(True))
        last = nn.Conv2d(width, channels, 7, padding=3, padding_mode="reflect")
        self.layers = nn.Sequential(*layers, last, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class PatchDiscriminator(nn.Module):
    """Images [B, C, H, W] -> scores of overlapping 70x70 patches [B, 1, h, w]: C64-C128-C256-C512 and a score.

    H and W at least 24.  width: 64 in the paper.  InstanceNorm in all layers but the first, leaky ReLU of slope .2.
    """

    def __init__(self, shape: Sequence[int], width: int = 64):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
            convolution = nn.Conv2d(inputs * width, outputs * width, 4, stride, 1)
            layers += with_instance_norm(convolution, outputs * width, nn.LeakyReLU(0.2, True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

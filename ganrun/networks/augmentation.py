"""Differentiable augmentations of what discriminators see, real and generated alike, for small data sets."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ganrun.errors import UserError, did_you_mean
from ganrun.networks.exact_buffers import ExactBuffers

SHIFT, HOLE = 1 / 8, 1 / 2  # largest translation and side of the cutout, as shares of the image's sides


def uniform_per_image(x: Tensor) -> Tensor:
    """Return a number in [0, 1) for each image of x: [B, 1, 1, 1]."""
    return torch.rand(len(x), 1, 1, 1, device=x.device)


def change_colour(x: Tensor) -> Tensor:
    """Change brightness by -.5 to .5, saturation by a factor of 0 to 2, then contrast by one of .5 to 1.5."""
    x = x + (uniform_per_image(x) - 0.5)
    grey = x.mean(1, keepdim=True)
    x = (x - grey) * (2 * uniform_per_image(x)) + grey
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (uniform_per_image(x) + 0.5) + mean


def translate(x: Tensor) -> Tensor:
    """Shift each image by up to an eighth of its height and of its width, filled with 0."""
    rows, columns = (shifted_index(x, axis) for axis in (2, 3))
    return pick_lines(nn.functional.pad(x, (1, 1, 1, 1)), rows, columns)


def pick_lines(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return, for images [B, C, ., .], those of these rows, int64 [B, H], and columns, int64 [B, W]: [B, C, H, W]."""
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def shifted_index(x: Tensor, axis: int) -> Tensor:
    """Return which line of an image padded by one comes to each place of its shifted copy: int64 [B, side]."""
    side = x.shape[axis]
    reach = int(side * SHIFT + 0.5)
    shift = torch.randint(-reach, reach + 1, (len(x), 1), device=x.device)
    return (torch.arange(side, device=x.device) + shift + 1).clamp(0, side + 1)


def cut_out(x: Tensor) -> Tensor:
    """Set a rectangle of half the height and width to 0; its centre is anywhere in the image."""
    down, across = (is_hidden(x, axis) for axis in (2, 3))
    return x.masked_fill((down[:, :, None] & across[:, None, :])[:, None], 0)


def is_hidden(x: Tensor, axis: int) -> Tensor:
    """Return which lines the rectangle of an image crosses: bool [B, side]."""
    side = x.shape[axis]
    size = int(side * HOLE + 0.5)
    start = torch.randint(0, side + 1 - size % 2, (len(x), 1), device=x.device) - size // 2
    line = torch.arange(side, device=x.device)
    return (line >= start) & (line < start + size)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "colour": change_colour,
    "translation": translate,
    "cutout": cut_out,
}


class Augmentation(ExactBuffers):
    """Images [B, C, H, W] -> images of the same shape: each augmentation, in order, of a share of the images.

    Zhao et al. 2020 (DiffAugment), with the ranges of the authors' code, where the share is 1.
    policy: names of AUGMENTATIONS.  share: probability of each augmentation for each image, 0..1.
    """

    share: Tensor

    def __init__(self, policy: Sequence[str], share: float = 1.0):
        super().__init__()
        for name in policy:
            if name not in AUGMENTATIONS:
                raise UserError(f"Unknown regularizer.diffaugment.policy={name}.{did_you_mean(name, AUGMENTATIONS)}")
        if not 0 <= share <= 1:
            raise UserError(f"The share of augmented images must be from 0 to 1, got {share}.")
        self.policy = tuple(policy)
        self.register_buffer("share", torch.tensor(float(share)))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.policy:
            x = torch.where(uniform_per_image(x) < self.share, AUGMENTATIONS[name](x), x)
        return x


def augment_input(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return the inputs of a network, the first of them augmented by its own module `augmentation`."""
    x, *others = inputs
    return (network.get_submodule("augmentation")(x), *others)

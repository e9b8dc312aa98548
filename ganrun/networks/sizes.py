"""Sizes of images that a network does not take: the nearest one that it takes, and padding to it."""

from torch import Tensor
from torch.nn.functional import pad

from ganrun.errors import UserError


class UnfitSizeError(UserError):
    """A network does not take examples of this shape."""


def advise_size(height: int, width: int) -> str:
    """Return a sentence that names the setting of the nearest size that fits."""
    setting = f"data.size={height}" if height == width else f"'data.size=[{height},{width}]'"
    return (
        f"The nearest such size is {setting}: images are resized to it, those of your own as data.fit says "
        "(crop, pad or stretch)."
    )


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Return images x [B, C, H, W] whose sides are multiples, two at least, by repeating last row and last column."""
    below, beside = (max(2 * multiple, -(-side // multiple) * multiple) - side for side in x.shape[2:])
    return pad(x, (0, beside, 0, below), mode="replicate") if below or beside else x

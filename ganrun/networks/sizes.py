"""Sizes of images that a network does not take: the nearest one that it takes, and padding to it."""

from torch import Tensor, nn
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


def forward_any_size(network: nn.Module, x: Tensor) -> Tensor:
    """Return network(x) for images x [B, C, H, W] of any size: [B, ., H, W].

    If the network has a `multiple`, sides become multiples of it, two at least, by repeating the last row and the last
    column; the result is cropped back. A network without one gets x as it is.
    """
    multiple: int | None = getattr(network, "multiple", None)
    if multiple is None:
        return network(x)
    height, width = x.shape[2:]
    below, beside = (max(2 * multiple, -(-side // multiple) * multiple) - side for side in (height, width))
    padded = pad(x, (0, beside, 0, below), mode="replicate") if below or beside else x
    return network(padded)[:, :, :height, :width]

"""Sizes of images that a network does not take, and the nearest one that it takes."""

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

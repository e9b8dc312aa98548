"""One picture file -> uint8 [C, size, size], whatever its mode, orientation and shape."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ganrun.errors import UserError, did_you_mean

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp")
)
FITS = ("crop", "pad", "stretch")
RESIZE = "Pillow, Lanczos, antialiased"
BACKGROUND = (255, 255, 255)  # behind transparent pictures and beside padded ones
Prepare = Callable[[Image.Image], Image.Image]


class BadImageError(Exception):
    """A file that cannot be decoded; its message names the file and the reason."""


def check_image_format(size: int, channels: int, fit: str = "crop") -> None:
    """Raises a UserError for a picture form that there cannot be."""
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise UserError(f"data.size={size} is no picture size: give a positive number of pixels, such as data.size=64.")
    if channels not in (1, 3):
        raise UserError(f"data.channels={channels} is not possible: pictures are grey (1) or coloured (3).")
    if fit not in FITS:
        raise UserError(f"data.fit={fit} is not known.{did_you_mean(str(fit), FITS)}")


def decode(path: Path, size: int, channels: int, fit: str = "crop", prepare: Prepare | None = None) -> np.ndarray:
    """The picture as uint8 [channels, size, size].

    prepare: applied to the upright RGB or grey picture before it is fitted (CelebA's centre crop).
    Raises BadPictureError.
    """
    picture = upright(path)
    picture = prepare(picture) if prepare else picture
    return to_array(fit_to_square(convert_mode(picture, "L" if channels == 1 else "RGB"), size, fit))


def upright(path: Path) -> Image.Image:
    """The picture in mode L or RGB as it is to be looked at, of its own size. Raises BadPictureError."""
    try:
        with Image.open(path) as file:
            return to_grey_or_rgb(ImageOps.exif_transpose(file))
    except Exception as error:  # Pillow's readers raise a dozen types on damaged files
        raise BadImageError(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return "not a picture" if isinstance(error, Image.UnidentifiedImageError) else str(error) or type(error).__name__


def to_grey_or_rgb(picture: Image.Image) -> Image.Image:
    """The picture in mode L or RGB: 16 bits scaled down, transparency laid over white."""
    if picture.mode.startswith("I"):
        # Pillow hands 16-bit grey out as I;16, older versions as I (32 bits): both hold 0..65535.
        deep = np.asarray(picture).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("pictures of floating-point numbers have no agreed range")
    if picture.mode in ("1", "L") and "transparency" not in picture.info:
        return convert_mode(picture, "L")
    if picture.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in picture.info:
        return _over_background(picture.convert("RGBA"))
    return convert_mode(picture, "RGB")


def convert_mode(picture: Image.Image, mode: str) -> Image.Image:
    """The picture in that mode; itself where it is in it, of which Pillow would make a copy."""
    return picture if picture.mode == mode else picture.convert(mode)


def _over_background(picture: Image.Image) -> Image.Image:
    background = Image.new("RGBA", picture.size, (*BACKGROUND, 255))
    return Image.alpha_composite(background, picture).convert("RGB")


def fit_to_square(picture: Image.Image, size: int, fit: str = "crop") -> Image.Image:
    """The picture as a square of `size` pixels.

    crop: the largest centred square; pad: the whole picture, white beside it; stretch: the whole picture, distorted.
    """
    if fit == "pad":
        return pad_to_square(picture, size)
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=box)


def pad_to_square(picture: Image.Image, size: int) -> Image.Image:
    """The whole picture, its longer side `size` pixels, in the middle of a white square."""
    longer = max(picture.size)
    width, height = (max(1, round(side * size / longer)) for side in picture.size)
    square = Image.new(picture.mode, (size, size), 255 if picture.mode == "L" else BACKGROUND)
    square.paste(picture.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return square


def to_array(picture: Image.Image) -> np.ndarray:
    """uint8 [C, H, W] of an L or RGB picture."""
    pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def resize_images(images: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Square uint8 images [N, C, h, h] with another size and another number of channels: [N, channels, size, size].

    28-pixel digits grow to 29..32 by a black margin, which keeps every stroke as it is; all else is resized.
    """
    if images.shape[2] == 28 and 28 < size <= 32:
        before = (size - 28) // 2
        margin = (before, size - 28 - before)
        images = np.pad(images, ((0, 0), (0, 0), margin, margin))
    if images.shape[2] == size and channels in (images.shape[1], 3):
        return images if channels == images.shape[1] else np.repeat(images, channels, axis=1)
    mode = "L" if channels == 1 else "RGB"
    pictures = (Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images)
    return np.stack([to_array(fit_to_square(picture.convert(mode), size)) for picture in pictures])


def find_images(folder: Path) -> list[Path]:
    """All picture files below a folder, by name; hidden files and folders are left out, links to folders followed."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        pictures = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES)
        found.extend(os.path.join(place, name) for name in pictures)
    return [Path(name) for name in sorted(found)]

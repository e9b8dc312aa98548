"""Decode an image file of any mode, orientation and shape to uint8 [C, size, size]."""

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
BAD_IMAGES = ("raise", "skip")
RESIZE = "Pillow, Lanczos, antialiased"
BACKGROUND = (255, 255, 255)  # behind transparent images and beside padded ones
Prepare = Callable[[Image.Image], Image.Image]


class BadImageError(Exception):
    """An image file cannot be decoded. The message names the file and the reason."""


def check_image_format(size: int, channels: int, fit: str = "crop", bad_images: str = "raise") -> None:
    """Raise UserError for an impossible value of one of these settings."""
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise UserError(f"data.size must be a positive number of pixels, such as data.size=64, got {size}.")
    if channels not in (1, 3):
        raise UserError(f"data.channels must be 1 (grey) or 3 (colour), got {channels}.")
    for key, choice, allowed in (("fit", fit, FITS), ("bad_images", bad_images, BAD_IMAGES)):
        if choice not in allowed:
            raise UserError(f"Unknown data.{key}={choice}.{did_you_mean(str(choice), allowed)}")


def decode(path: Path, size: int, channels: int, fit: str = "crop", prepare: Prepare | None = None) -> np.ndarray:
    """Decode an image file to uint8 [channels, size, size]. Raise BadImageError.

    fit: see `fit_to_square`.  prepare: applied before that to the upright RGB or grey image (CelebA's centre crop).
    """
    image = upright(path)
    image = prepare(image) if prepare else image
    return to_array(fit_to_square(convert_mode(image, "L" if channels == 1 else "RGB"), size, fit))


def upright(path: Path) -> Image.Image:
    """Open an image file, in mode L or RGB, rotated as its EXIF data say, in its own size. Raise BadImageError."""
    try:
        with Image.open(path) as file:
            return to_grey_or_rgb(ImageOps.exif_transpose(file))
    except Image.UnidentifiedImageError as error:
        raise BadImageError(f"{path}: not an image") from error
    except Exception as error:  # Pillow's readers raise a dozen types on damaged files
        raise BadImageError(f"{path}: {str(error) or type(error).__name__}") from error


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Convert to mode L or RGB: 16 bits are scaled down, transparent parts become white."""
    if image.mode.startswith("I"):
        # Pillow gives 16-bit grey as I;16, older versions as I (32 bits); both hold 0..65535.
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("the range of floating-point pixels is not defined")
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return convert_mode(image, "L")
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        background = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return convert_mode(image, "RGB")


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert to a mode; unlike Pillow, do not copy an image that already has it."""
    return image if image.mode == mode else image.convert(mode)


def fit_to_square(image: Image.Image, size: int, fit: str = "crop") -> Image.Image:
    """Resize to a square of `size` pixels.

    fit: crop (the largest centred square), pad (the whole image with white borders) or stretch (the image distorted).
    """
    if fit == "pad":
        return pad_to_square(image, size)
    width, height = image.size
    box = (0.0, 0.0, float(width), float(height))
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def pad_to_square(image: Image.Image, size: int) -> Image.Image:
    """Resize so that the longer side has `size` pixels, and centre the image in a white square."""
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    square = Image.new(image.mode, (size, size), 255 if image.mode == "L" else BACKGROUND)
    square.paste(image.resize((width, height), Image.Resampling.LANCZOS), ((size - width) // 2, (size - height) // 2))
    return square


def to_array(image: Image.Image) -> np.ndarray:
    """Return an L or RGB image as uint8 [C, H, W]."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def resize_images(images: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Change size and channels of square uint8 images [N, C, h, h]: [N, channels, size, size].

    28 pixels become 29 to 32 by a black margin, which leaves the strokes of digits as they are; all else is resized.
    """
    if images.shape[2] == 28 and 28 < size <= 32:
        before = (size - 28) // 2
        margin = (before, size - 28 - before)
        images = np.pad(images, ((0, 0), (0, 0), margin, margin))
    if images.shape[2] == size and channels in (images.shape[1], 3):
        return images if channels == images.shape[1] else np.repeat(images, channels, axis=1)
    mode = "L" if channels == 1 else "RGB"
    opened = (Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images)
    return np.stack([to_array(fit_to_square(image.convert(mode), size)) for image in opened])


def find_images(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted. Hidden ones are skipped, links to folders followed."""
    paths = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES)
        paths.extend(os.path.join(parent, name) for name in images)
    return [Path(path) for path in sorted(paths)]

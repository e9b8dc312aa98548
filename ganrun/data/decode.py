"""Decode an image file of any mode, orientation and shape to uint8 [C, height, width].

A file is input from strangers: see `open_image` for what it may be.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, ImageOps

from ganrun.data.memory import MemoryBudget
from ganrun.errors import UserError, did_you_mean
from ganrun.files import open_regular

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TGA", "TIFF", "WEBP")  # others would start programs, as EPS does
MAX_SIDE = 65_535  # pixels, as in a JPEG; resizing a longer strip would need many times the memory of its pixels
MAX_FILE_BYTES = 2**29
MAX_SCANS = 100  # of a JPEG: a progressive one has about ten, and each takes as long as decoding the whole image
MEMORY = MemoryBudget(400 * 2**20)  # bytes that the images being decoded may take together
SLOW_DECODERS = ("ppm", "ppm_plain", "bmp_rle")  # Pillow has them in Python
MAX_SLOW_PIXELS = 2**22
MAX_TILE_PIXELS = 2**24
RESIZED_AT_ONCE = 1024  # images
BAND = 2**20  # pixels that are converted at once
FITS = ("crop", "pad", "stretch")
BAD_IMAGES = ("raise", "skip")
RESIZE = "Pillow, Lanczos, antialiased"
BACKGROUND = (255, 255, 255)  # behind transparent images and beside padded ones
Prepare = Callable[[Image.Image], Image.Image]
Size = int | Sequence[int]  # in pixels: the side of a square, or [height, width]


class BadImageError(Exception):
    """An image file cannot be decoded. The message names the file and the reason."""


def height_and_width(size: Size) -> tuple[int, int]:
    """Return the height and the width that a size stands for."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def check_image_format(size: Size, channels: int, fit: str = "crop", bad_images: str = "raise") -> None:
    """Raise UserError for an impossible value of one of these settings."""
    sides = size if isinstance(size, list | tuple) and len(size) == 2 else [size]
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides):
        raise UserError(
            "data.size must be a positive number of pixels, such as data.size=64, or height and width, such as "
            f"'data.size=[48,64]', got {size}."
        )
    if channels not in (1, 3):
        raise UserError(f"data.channels must be 1 (grey) or 3 (colour), got {channels}.")
    for key, choice, allowed in (("fit", fit, FITS), ("bad_images", bad_images, BAD_IMAGES)):
        if choice not in allowed:
            raise UserError(f"Unknown data.{key}={choice}.{did_you_mean(str(choice), allowed)}")


def decode(
    path: Path, size: Size | None, channels: int, fit: str = "crop", prepare: Prepare | None = None
) -> np.ndarray:
    """Decode an image file to uint8 [channels, height, width]. Raise BadImageError.

    size: None keeps the image's own.  fit: see `fit_to_size`.
    prepare: applied before that to the upright RGB or grey image (CelebA's centre crop).
    """
    with upright(path) as image:
        image = prepare(image) if prepare else image
        image = convert_mode(image, "L" if channels == 1 else "RGB")
        return to_array(image if size is None else fit_to_size(image, size, fit))


@contextmanager
def upright(path: Path) -> Iterator[Image.Image]:
    """Open an image file, in mode L or RGB, rotated as its EXIF data say, in its own size. Raise BadImageError.

    Waits while other threads use all memory that is meant for images.
    """
    with open_image(path) as file, MEMORY.reserved(decoded_bytes(file)):
        ImageOps.exif_transpose(file, in_place=True)
        yield to_grey_or_rgb(file)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image file, of which only the header is decoded. Raise BadImageError.

    It must be a regular file, or a link to one, in one of FORMATS; its size is limited before a pixel is decoded.
    """
    with (
        explained(path),
        open_regular(path, MAX_FILE_BYTES, follow_links=True) as file,
        Image.open(file, formats=FORMATS) as image,
    ):
        check_image(image, file)
        yield image


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an error within into a BadImageError that names the file and the reason."""
    try:
        yield
    except BadImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImageError(f"{path}: not an image, or none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's readers raise a dozen types on damaged files
        raise BadImageError(f"{path}: {str(error) or type(error).__name__}") from error


def check_image(image: Image.Image, file: IO[bytes]) -> None:
    """Raise ValueError for an image whose decoding would take too much memory or time. Only its header is read."""
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"it has {width} x {height} pixels; a side has at most {MAX_SIDE:,}")
    needed = decoded_bytes(image)
    if needed > MEMORY.total:
        limit = f"decoding takes {needed / 2**20:,.0f} MiB, and at most {MEMORY.total / 2**20:,.0f} are used"
        raise ValueError(f"it has {width} x {height} pixels: {limit}")
    decoder = image.tile[0][0] if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    if decoder in SLOW_DECODERS and width * height > MAX_SLOW_PIXELS:
        raise ValueError(f"it has {width} x {height} pixels; in this encoding at most {MAX_SLOW_PIXELS:,} are decoded")
    tags = getattr(image, "tag_v2", {})  # of a TIFF: width and height of its tiles
    if tags.get(322, 0) * tags.get(323, 0) > MAX_TILE_PIXELS:
        raise ValueError(f"its tiles have more than {MAX_TILE_PIXELS:,} pixels")
    if image.format in ("JPEG", "MPO") and count_scans(file) > MAX_SCANS:
        raise ValueError(f"it has more than {MAX_SCANS} scans")


def decoded_bytes(image: Image.Image) -> int:
    """Return how much memory an image takes at most until it is upright and grey or RGB."""
    grey = {"1": (1, 2), "L": (1, 2), "P": (1, 6), "I;16": (2, 4), "I;16B": (2, 4)}
    stored, converted = grey.get(image.mode, (4, 8))  # bytes per pixel: as decoded; with a rotated or converted copy
    converted = max(converted, 6) if "transparency" in image.info else converted
    decoder = {"WEBP": 12, "TIFF": 8}.get(image.format or "", 8 if "progressive" in image.info else 0)
    return image.width * image.height * max(converted, stored + decoder)


def count_scans(file: IO[bytes]) -> int:
    """Return the number of scans in a JPEG file, or more if other data look like one."""
    position = file.tell()
    file.seek(0)
    count, tail = 0, b""
    while block := file.read(2**20):
        count, tail = count + (tail + block).count(b"\xff\xda"), block[-1:]
    file.seek(position)
    return count


def check_png(content: bytes, path: Path) -> None:
    """Raise BadImageError unless the content is a PNG image that can be decoded."""
    file = BytesIO(content)
    with explained(path), Image.open(file, formats=["PNG"]) as image:
        check_image(image, file)
        image.load()


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Convert to mode L or RGB: 16 bits are scaled down, transparent parts become white."""
    if image.mode.startswith("I"):
        return in_bands(image, "L", scale_to_8_bits)
    if image.mode == "F":
        raise ValueError("the range of floating-point pixels is not defined")
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return convert_mode(image, "L")
    if image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info:
        return in_bands(image, "RGB", put_on_background)
    return convert_mode(image, "RGB")


def in_bands(image: Image.Image, mode: str, convert: Prepare) -> Image.Image:
    """Convert an image to a mode, some rows at a time: the steps between would take a multiple of its memory."""
    result = Image.new(mode, image.size)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        result.paste(convert(band), (0, top))
    return result


def scale_to_8_bits(image: Image.Image) -> Image.Image:
    # Pillow gives 16-bit grey as I;16, older versions as I (32 bits); both hold 0..65535.
    deep = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray(((deep + 128) // 257).astype(np.uint8))


def put_on_background(image: Image.Image) -> Image.Image:
    background = Image.new("RGBA", image.size, (*BACKGROUND, 255))
    return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert to a mode; unlike Pillow, do not copy an image that already has it."""
    return image if image.mode == mode else image.convert(mode)


def fit_to_size(image: Image.Image, size: Size, fit: str = "crop") -> Image.Image:
    """Resize to a size.

    fit: crop (the largest centred part of the size's proportions), pad (the whole image with white borders) or stretch
    (the image distorted).
    """
    height, width = height_and_width(size)
    if fit == "pad":
        return pad_to_size(image, height, width)
    box = (0.0, 0.0, float(image.width), float(image.height))
    if fit == "crop":
        across, down = min(image.width, image.height * width / height), min(image.height, image.width * height / width)
        left, top = (image.width - across) / 2, (image.height - down) / 2
        box = (left, top, left + across, top + down)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def pad_to_size(image: Image.Image, height: int, width: int) -> Image.Image:
    """Resize to the largest image of the same proportions that fits in, and centre it in a white rectangle."""
    inner = width, max(1, round(image.height * width / image.width))
    if inner[1] > height:
        inner = max(1, round(image.width * height / image.height)), height
    canvas = Image.new(image.mode, (width, height), 255 if image.mode == "L" else BACKGROUND)
    corner = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), corner)
    return canvas


def to_array(image: Image.Image) -> np.ndarray:
    """Return an L or RGB image as uint8 [C, H, W]."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def resize_images(images: np.ndarray, size: Size, channels: int) -> np.ndarray:
    """Change size and channels of square uint8 images [N, C, h, h]: [N, channels, height, width].

    28 pixels become 29 to 32 by a black margin, which leaves the strokes of digits as they are; all else is resized.
    """
    target = height_and_width(size)
    if images.shape[2] == 28 and target != (28, 28) and all(28 <= side <= 32 for side in target):
        margins = [((side - 28) // 2, (side - 27) // 2) for side in target]
        images = np.pad(images, ((0, 0), (0, 0), *margins))
    if images.shape[2:] == target and channels in (images.shape[1], 3):
        return images if channels == images.shape[1] else np.repeat(images, channels, axis=1)
    mode = "L" if channels == 1 else "RGB"
    opened = (Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)) for image in images)
    return np.stack([to_array(fit_to_size(image.convert(mode), size)) for image in opened])


def resize_in_blocks(images: np.ndarray, size: Size, channels: int) -> Iterator[np.ndarray]:
    """Yield what `resize_images` returns for the images, some at a time."""
    for start in range(0, max(1, len(images)), RESIZED_AT_ONCE):
        yield resize_images(images[start : start + RESIZED_AT_ONCE], size, channels)

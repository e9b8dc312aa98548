"""Value ranges of images, and pictures to look at: grids, scatter plots, PNG files."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganrun.files import replacing

PADDING = 2
LOOKED_AT = 800  # pixels of the longer side of a picture that one looks at
GRID_GREY = 128  # between the images of a grid: visible beside white and beside black
REAL_COLOUR = (175, 175, 175)
GENERATED_COLOUR = (200, 30, 60)


def to_float(image: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1], both ends exactly."""
    return image.float().mul_(1 / 127.5).sub_(1)


def to_uint8(image: Tensor) -> Tensor:
    """Float in [-1, 1], clamped -> uint8 0..255, rounded: the inverse of `to_float`."""
    return image.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_file_array(x: Tensor) -> np.ndarray:
    """Return examples as a file holds them: images [n, C, H, W] as uint8 [n, H, W, C], others as they are."""
    return to_uint8(x).permute(0, 2, 3, 1).numpy() if x.ndim == 4 else x.numpy()


def colour_classes(classes: Tensor) -> Tensor:
    """Return label maps [N, H, W] as images, float [N, 3, H, W] in [-1, 1]: class 0 black, others in colours."""
    number = torch.arange(256)
    bits = torch.stack([number >> channel & 1 | (number >> channel + 3 & 1) << 1 for channel in range(3)], 1)
    colours = torch.tensor([0, 255, 96, 170])[bits].to(torch.uint8)
    return to_float(colours.to(classes.device)[classes.long() % 256].movedim(-1, 1))


def make_grid(x: Tensor, columns: int = 8) -> Tensor:
    """Arrange images x, float [N, 1 or 3, h, w] in [-1, 1], row by row: uint8 [3, H, W]."""
    images = to_uint8(x).cpu()
    n, _, h, w = images.shape
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    height, width = rows * (h + PADDING) + PADDING, columns * (w + PADDING) + PADDING
    canvas = torch.full((3, height, width), GRID_GREY, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = PADDING + i // columns * (h + PADDING), PADDING + i % columns * (w + PADDING)
        canvas[:, top : top + h, left : left + w] = image
    return canvas


def plot_points(points: Tensor, real: Tensor | None = None, size: int = 400) -> Tensor:
    """Plot points as coloured dots over the real points in grey: uint8 [3, size, size].

    points, real: [N, 2]; the y axis points up. The limits are those of the real points if given; points outside are
    not shown.
    """
    points = points.detach().float().cpu()
    real = points[:0] if real is None else real.float().cpu()
    visible = real if len(real) else points
    low, high = visible.min(dim=0).values, visible.max(dim=0).values
    side = float((high - low).max().clamp_min(1e-6)) * 1.25  # a margin of an eighth on each side
    corner = (low + high) / 2 - side / 2
    canvas = np.full((size, size, 3), 255, dtype=np.uint8)
    _dots(canvas, real, corner, side, REAL_COLOUR)
    _dots(canvas, points, corner, side, GENERATED_COLOUR)
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous()


def _dots(canvas: np.ndarray, points: Tensor, low: Tensor, side: float, colour: tuple[int, int, int]) -> None:
    size = len(canvas)
    pixels = ((points - low) / side * (size - 1)).round()
    is_inside = torch.isfinite(pixels) & (pixels >= 1) & (pixels <= size - 2)
    pixels = pixels[is_inside.all(dim=1)].long()
    x, y = pixels[:, 0].numpy(), size - 1 - pixels[:, 1].numpy()
    for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        canvas[y + dy, x + dx] = colour


def to_pillow(image: Tensor) -> Image.Image:
    """Return uint8 [3, H, W] or [1, H, W] as an image of Pillow."""
    pixels = image.cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def enlarge(image: Image.Image, side: int = LOOKED_AT) -> Image.Image:
    """Return an image enlarged by a whole factor up to this longer side, so that one sees its pixels."""
    factor = max(1, side // max(image.size))
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def encode_png(image: Image.Image) -> bytes:
    """Return the content of a PNG file, which holds pixels and nothing else."""
    file = BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def save_png(path: str | Path, image: Tensor) -> None:
    """Write uint8 [3, H, W] or [1, H, W] as a PNG file, as a whole or not at all; create its folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        to_pillow(image).save(partial, format="PNG")


def save_enlarged(path: Path, image: Image.Image) -> None:
    """Write an image, enlarged to be looked at, as a PNG file, as a whole or not at all."""
    with replacing(path) as partial:
        enlarge(image).save(partial, format="PNG")

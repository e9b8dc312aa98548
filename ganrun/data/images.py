"""Pictures for people: value ranges, grids, scatters, PNG files."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

PADDING = 2
BETWEEN = 128  # grey between a grid's pictures: seen beside white and beside black
REAL_COLOUR = (175, 175, 175)
GENERATED_COLOUR = (200, 30, 60)


def to_float(picture: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1]; both ends are met exactly. Goes to the tensor's own device."""
    return picture.float().mul_(1 / 127.5).sub_(1)


def to_uint8(picture: Tensor) -> Tensor:
    """Float in [-1, 1] (what lies outside is clamped) -> uint8 0..255, rounded: the inverse of `to_float`."""
    return picture.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def make_grid(x: Tensor, columns: int = 8) -> Tensor:
    """Pictures side by side, row by row: uint8 [3, H, W].

    x: float [N, 1 or 3, h, w] in [-1, 1].
    """
    pictures = to_uint8(x).cpu()
    n, _, h, w = pictures.shape
    columns = max(1, min(columns, n))
    rows = -(-n // columns)
    canvas = torch.full(
        (3, rows * (h + PADDING) + PADDING, columns * (w + PADDING) + PADDING), BETWEEN, dtype=torch.uint8
    )
    for i, picture in enumerate(pictures):
        top, left = PADDING + i // columns * (h + PADDING), PADDING + i % columns * (w + PADDING)
        canvas[:, top : top + h, left : left + w] = picture
    return canvas


def plot_points(points: Tensor, real: Tensor | None = None, size: int = 400) -> Tensor:
    """Points as coloured dots over the real points in grey: uint8 [3, size, size].

    points, real: [N, 2]; y upwards. The real points (else the points) set the limits; what is outside is not drawn.
    """
    points = points.detach().float().cpu()
    real = points[:0] if real is None else real.float().cpu()
    low, high = _limits(real if len(real) else points)
    canvas = np.full((size, size, 3), 255, dtype=np.uint8)
    _dots(canvas, real, low, high, REAL_COLOUR)
    _dots(canvas, points, low, high, GENERATED_COLOUR)
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous()


def _limits(points: Tensor) -> tuple[Tensor, float]:
    """Lower left corner and side of the square that holds all points with a margin of an eighth on each side."""
    low, high = points.min(dim=0).values, points.max(dim=0).values
    side = float((high - low).max().clamp_min(1e-6)) * 1.25
    return (low + high) / 2 - side / 2, side


def _dots(canvas: np.ndarray, points: Tensor, low: Tensor, side: float, colour: tuple[int, int, int]) -> None:
    size = len(canvas)
    place = ((points - low) / side * (size - 1)).round()
    place = place[torch.isfinite(place).all(dim=1) & (place >= 1).all(dim=1) & (place <= size - 2).all(dim=1)].long()
    x, y = place[:, 0].numpy(), size - 1 - place[:, 1].numpy()
    for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        canvas[y + dy, x + dx] = colour


def save_png(path: str | Path, picture: Tensor) -> None:
    """Writes uint8 [3, H, W] (or [1, H, W]) as a PNG file; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture.cpu().permute(1, 2, 0).numpy()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(path, format="PNG")

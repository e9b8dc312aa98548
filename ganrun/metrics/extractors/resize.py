"""How images become the input of a network. The method changes FID, so each one is a named protocol."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def to_grey(images: Tensor) -> Tensor:
    """Luminance (ITU-R BT.601) of float images [B, 1 or 3, H, W]: [B, 1, H, W] in the same range."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=images.dtype, device=images.device)
    return torch.einsum("bchw,c->bhw", images, weights).unsqueeze(1)


def resize_antialiased(images: Tensor, size: int) -> Tensor:
    """Resize float images [B, C, H, W] to [B, C, size, size], bilinear with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    return interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def tf1_weights(old: int, new: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the two old pixels around each of `new` pixels, and the second one's weight in [0, 1): [new] each.

    Pixel i lies at i * old / new: TensorFlow 1's resize_bilinear without align_corners has no half-pixel offset.
    """
    position = torch.arange(new, dtype=torch.float32, device=like.device) * torch.tensor(old / new, dtype=torch.float32)
    low = position.long().clamp(max=old - 1)
    return low, (low + 1).clamp(max=old - 1), (position - low).to(like.dtype)


def resize_tf1(images: Tensor, size: int) -> Tensor:
    """Resize float images [B, C, H, W] to [B, C, size, size] like TensorFlow 1's resize_bilinear."""
    top, bottom, down = tf1_weights(images.shape[2], size, images)
    left, right, across = tf1_weights(images.shape[3], size, images)
    rows = images[..., left] + (images[..., right] - images[..., left]) * across  # torch.lerp rounds otherwise
    return rows[..., top, :] + (rows[..., bottom, :] - rows[..., top, :]) * down[:, None]


def resize_torch(images: Tensor, size: int) -> Tensor:
    """Resize float images [B, C, H, W] to [B, C, size, size], bilinear with half-pixel centres: as pytorch-fid."""
    return interpolate(images, size=(size, size), mode="bilinear", align_corners=False)


def resize_clean(images: Tensor, size: int) -> Tensor:
    """Resize float images 0..255 to [B, C, size, size] like Pillow's antialiased bicubic. Parmar et al. 2022."""
    return interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)


def resize_pillow(images: Tensor, size: int) -> Tensor:
    """Resize float images 0..255 to [B, C, size, size] like Pillow's bicubic of 8-bit images.

    The width is resized, then the height, each rounded to whole numbers: Pillow of the time of FD-DINOv2 and CMMD. Its
    version 13 begins with the height of tall images. Fixed-point arithmetic makes under 1 % of the pixels differ by 1.
    """
    for shape in ((images.shape[2], size), (size, size)):
        if images.shape[-2:] != shape:
            images = interpolate(images, size=shape, mode="bicubic", antialias=True, align_corners=False)
            images = (images.clamp(0, 255) + 0.5).floor()
    return images


def crop_square(images: Tensor) -> Tensor:
    """Crop images [B, C, H, W] to the largest square in their middle, [B, C, S, S]."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def standardize(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Map images 0..255, [B, C, H, W], to (x / 255 - mean) / deviation, with a mean and a deviation per channel."""
    center, scale = (images.new_tensor(values).view(-1, 1, 1) for values in (mean, deviation))
    return (images / 255 - center) / scale


class Preprocessing(NamedTuple):
    """A way from pixels 0..255 to the input of Inception: resize, then (x - center) / center.

    description: part of stored protocols, by which scores are told apart; a change of the numbers needs new words.
    equals: the packages, with the version that scripts/compare_fid.py was run with, that compute the same FID.
    """

    resize: Callable[[Tensor, int], Tensor]
    center: float
    description: str
    equals: str

    def __call__(self, images: Tensor, size: int) -> Tensor:
        """Turn float images 0..255, [B, C, H, W], into [B, C, size, size] in [-1, 1]."""
        return (self.resize(images, size) - self.center) / self.center


PREPROCESSING = {
    "tf1": Preprocessing(
        resize_tf1, 128, "TensorFlow 1 bilinear, as the FID papers and torch-fidelity", "torch-fidelity 0.4.0"
    ),
    "torch": Preprocessing(
        resize_torch,
        127.5,
        "half-pixel bilinear, then x / 127.5 - 1, as pytorch-fid",
        "pytorch-fid 0.3.0; clean-fid 0.1.35, mode legacy_pytorch",
    ),
    "clean": Preprocessing(resize_clean, 128, "antialiased bicubic, as clean-fid", "clean-fid 0.1.35, mode clean"),
}

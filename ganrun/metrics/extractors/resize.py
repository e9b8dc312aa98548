"""Resizing of images to the input size of a network. The method changes FID, so each one is a named protocol."""

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


PROTOCOLS = {  # name: (function, description); the description is part of stored protocols
    "tf1": (resize_tf1, "TensorFlow 1 bilinear, as the FID papers and torch-fidelity"),
    "torch": (resize_torch, "half-pixel bilinear, as pytorch-fid"),
    "clean": (resize_clean, "antialiased bicubic, as clean-fid"),
}

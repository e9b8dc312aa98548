"""A small translation task with known answers, from the shipped digits."""

import numpy as np
import torch
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.decode import Size, check_image_format, resize_images
from ganrun.data.digits import load_shipped_digits
from ganrun.data.source import Source
from ganrun.errors import UserError

PAPER = {"a": (0, 0, 0), "b": (255, 244, 170)}  # background: black; pale yellow
INK = {"a": (255, 255, 255), "b": (130, 10, 20)}  # digit: white; dark red


class UnpairedDigits(Source):
    """A: digits, white on black. B: digits, dark red on pale yellow. No digit is in both training sets.

    The colour of a pixel is an affine map of the digit's intensity, so that each image has a known counterpart. In the
    test split, a and b are pairs with labels y. Size 32 adds a margin to the 28 pixels, for strided networks.
    """

    name = "unpaired_digits"
    classes = [str(digit) for digit in range(10)]
    train_count = 4500

    def __init__(self, size: Size, channels: int):
        check_image_format(size, channels)
        if channels != 3:
            raise UserError(f"data.channels must be 3 for data=unpaired_digits, got {channels}.")
        self.size = size

    def count_classes(self) -> int:
        return 0

    def load(self) -> LoadedData:
        digits = load_shipped_digits()
        grey = {split: resize_images(digits[f"x_{split}"][:, None], self.size, 1) for split in ("train", "test")}
        second = in_second_half(digits["y_train"])
        arrays = {
            "train-a": colour_digits(grey["train"][~second], "a"),
            "train-b": colour_digits(grey["train"][second], "b"),
            "test-a": colour_digits(grey["test"], "a"),
            "test-b": colour_digits(grey["test"], "b"),
            "test-y": digits["y_test"].astype(np.int64),
        }
        options = {"name": self.name, "size": self.size, "paper": PAPER, "ink": INK}
        return cache.in_memory(arrays, options, classes=self.classes, is_paired=True)

    def intensity(self, x: Tensor, domain: str) -> Tensor:
        """Return the digits in images of domain "a" or "b": float [N, 1, H, W] in [-1, 1].

        x: float [N, 3, H, W] in [-1, 1]. Each pixel is projected on the line from the domain's paper to its ink.
        """
        paper, ink = x.new_tensor([PAPER[domain], INK[domain]]) / 127.5 - 1
        line = ink - paper
        share = torch.einsum("nchw,c->nhw", x - paper[:, None, None], line / line.square().sum())
        return (2 * share - 1).clamp(-1, 1).unsqueeze(1)


def in_second_half(labels: np.ndarray) -> np.ndarray:
    """Return which examples are in the second half of their class, in file order: bool [N]."""
    second = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        second[indices[len(indices) // 2 :]] = True
    return second


def colour_digits(grey: np.ndarray, domain: str) -> np.ndarray:
    """uint8 [N, 1, H, W] -> uint8 [N, 3, H, W]: intensity 0 becomes the colour of the paper, 255 that of the ink."""
    shades = np.linspace(PAPER[domain], INK[domain], 256).round().astype(np.uint8)  # [256, 3]
    return np.ascontiguousarray(shades[grey[:, 0]].transpose(0, 3, 1, 2))

"""Handwritten digits that come with the package."""

from pathlib import Path

import numpy as np

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.decode import Size, check_image_format, resize_images
from ganrun.data.source import Source
from ganrun.errors import UserError
from ganrun.files import assets_dir

SHIPPED = assets_dir() / "digits.npz"


class Digits(Source):
    """9,000 + 1,000 digits of MNIST, as many of each class; with channels=3 the grey image is repeated."""

    name = "digits"
    classes = [str(digit) for digit in range(10)]
    train_count = 9000

    def __init__(self, size: Size, channels: int):
        check_image_format(size, channels)
        self.size, self.channels = size, channels

    def load(self) -> LoadedData:
        digits = load_shipped_digits()
        arrays = {}
        for split in ("train", "test"):
            arrays[f"{split}-x"] = resize_images(digits[f"x_{split}"][:, None], self.size, self.channels)
            arrays[f"{split}-y"] = digits[f"y_{split}"].astype(np.int64)
        options = {"name": self.name, "size": self.size, "channels": self.channels}
        return cache.in_memory(arrays, options, classes=self.classes)


def load_shipped_digits(path: Path = SHIPPED) -> dict[str, np.ndarray]:
    """Return x_train uint8 [9000, 28, 28], y_train [9000], x_test [1000, 28, 28] and y_test [1000]."""
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            return {key: arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")}
    except FileNotFoundError as error:
        raise UserError(f"The shipped digits are missing ({path}). Install ganrun again.") from error
    except Exception as error:  # zipfile, zlib and numpy raise half a dozen types on a damaged archive
        raise UserError(f"The shipped digits in {path} are damaged ({error}). Install ganrun again.") from error

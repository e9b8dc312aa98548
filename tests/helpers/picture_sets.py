"""Folders of seeded random pictures, the same with every version of NumPy and Pillow."""

import numpy as np
from PIL import Image


def write_pictures(folder, count, size=(48, 64), seed=0, gain=1.0):
    """Write `count` blocky, noisy colour pictures of size (height, width) as PNG; return the folder."""
    folder.mkdir(parents=True)
    numbers = np.random.RandomState(seed)  # its stream is fixed for good
    for i in range(count):
        rows, columns = numbers.randint(2, 9, 2)
        blocks = numbers.randint(0, 256, (rows, columns, 3))
        y, x = (np.arange(side) * cells // side for side, cells in zip(size, (rows, columns), strict=True))
        pixels = gain * blocks[y][:, x] + numbers.randint(-30, 31, (*size, 3))
        Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8)).save(folder / f"{i:05}.png")
    return folder

"""Tiny idx files, as MNIST's."""

import gzip
import struct

import numpy as np

from ganrun.data.idx import PARTS

DIGITS = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


def idx_bytes(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, packed):
    """Ten training digits and two test digits."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in zip(PARTS, (DIGITS[:10], LABELS[:10], DIGITS[10:], LABELS[10:]), strict=True):
        name = f"{part}.gz" if packed else part
        (folder / name).write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))

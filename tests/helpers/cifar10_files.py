"""A tiny CIFAR-10 on disk, in both layouts."""

import pickle

import numpy as np

from ganrun.data.cifar10 import BATCHES

NAMES = [*BATCHES, "test_batch"]
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 3072), dtype=np.uint8)  # six files of three pictures
LABELS = [[i, (i + 3) % 10, 9] for i in range(6)]


def batch_bytes(layout, pixels, labels):
    if layout.endswith("bin"):
        return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True))
    content = {b"batch_label": b"a batch", b"labels": labels, b"data": pixels, b"filenames": [b"a.png"] * 3}
    return pickle.dumps(content, protocol=2)


def files(layout):
    """{file name: content} of a tiny data set."""
    suffix = ".bin" if layout.endswith("bin") else ""
    return {
        f"{name}{suffix}": batch_bytes(layout, pixels, labels)
        for name, pixels, labels in zip(NAMES, PIXELS, LABELS, strict=True)
    }


def write_folder(folder, layout):
    folder.mkdir(parents=True)
    for name, content in files(layout).items():
        (folder / name).write_bytes(content)

"""A tiny CelebA on disk."""

import numpy as np
from PIL import Image

ATTRIBUTES = ["Eyeglasses", "Male", "Smiling"]
FLAGS = [[-1, 1, 1], [-1, -1, 1], [1, 1, -1], [-1, -1, -1], [-1, 1, -1], [1, -1, 1]]
PARTITION = [0, 0, 0, 0, 1, 2]
NAMES = [f"{i + 1:06d}.jpg" for i in range(6)]


def face(i):
    """178x218 as in CelebA: number i's shade in the centre square of 108, black around it."""
    pixels = np.zeros((218, 178, 3), dtype=np.uint8)
    pixels[55:163, 35:143] = 40 * i + 20
    return Image.fromarray(pixels)


def write_tables(base, ending):
    if ending == "csv":
        rows = [f"{name},{','.join(map(str, flags))}" for name, flags in zip(NAMES, FLAGS, strict=True)]
        (base / "list_attr_celeba.csv").write_text("\n".join(["image_id," + ",".join(ATTRIBUTES), *rows]) + "\n")
        parts = [f"{name},{part}" for name, part in zip(NAMES, PARTITION, strict=True)]
        (base / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *parts]) + "\n")
        return
    rows = [f"{name} {' '.join(f'{flag:2d}' for flag in flags)}" for name, flags in zip(NAMES, FLAGS, strict=True)]
    (base / "list_attr_celeba.txt").write_text("\n".join([str(len(NAMES)), " ".join(ATTRIBUTES) + " ", *rows]) + "\n")
    parts = [f"{name} {part}" for name, part in zip(NAMES, PARTITION, strict=True)]
    (base / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")

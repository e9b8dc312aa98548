"""A folder of images, with or without classes."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import SUFFIXES, Size, check_image_format, find_images
from ganrun.data.decode_all import decode_all
from ganrun.data.source import FileSource, root_folder
from ganrun.errors import UserError
from ganrun.seeds import named_generator

EXPECTED = "Expected: a folder of images; two or more subfolders side by side are classes."


class Folder(FileSource):
    """All images below `root`. Its subfolders are classes, if there are at least two and no image beside them.

    held_out: share of the images for the test split.
    """

    name = "folder"
    option_names = ("size", "channels", "fit", "bad_images", "held_out")

    def __init__(self, root: str | None, size: Size, channels: int, fit: str, bad_images: str, held_out: float):
        check_image_format(size, channels, fit, bad_images)
        if not 0 <= held_out < 1:
            raise UserError(f"data.held_out must be a share from 0 to below 1, got {held_out}.")
        self.root, self.size, self.channels, self.fit = root, size, channels, fit
        self.bad_images, self.held_out = bad_images, held_out

    @cached_property
    def _root(self) -> Path:
        return root_folder(self.root, self.name, EXPECTED)

    @cached_property
    def _paths(self) -> list[Path]:
        return require_images(self._root, EXPECTED)

    def files(self) -> list[Path]:
        return self._paths

    @cached_property
    def class_names(self) -> list[str]:
        paths = [path.relative_to(self._root).parts for path in self._paths]
        names = sorted({first for first, *_ in paths})
        return names if len(names) > 1 and all(len(path) > 1 for path in paths) else []

    def count_classes(self) -> int:
        return len(self.class_names)

    def write(self, store: CacheWriter) -> dict:
        skipped = []
        for split, paths in self._splits().items():
            kept, bad = decode_all(store, split, "x", paths, self.bad_images, self.size, self.channels, fit=self.fit)
            skipped += bad
            if self.class_names:
                index = {name: i for i, name in enumerate(self.class_names)}
                labels = [index[paths[i].relative_to(self._root).parts[0]] for i in kept]
                store.save(split, "y", np.array(labels, dtype=np.int64))
        return {"classes": self.class_names, "skipped": skipped}

    def _splits(self) -> dict[str, list[Path]]:
        count = round(self.held_out * len(self._paths))
        if not count:
            return {"train": self._paths}
        held_out = set(torch.randperm(len(self._paths), generator=named_generator("held out"))[:count].tolist())
        return {
            "train": [path for i, path in enumerate(self._paths) if i not in held_out],
            "test": [path for i, path in enumerate(self._paths) if i in held_out],
        }


def require_images(folder: Path, expected: str) -> list[Path]:
    """Return all images below a folder. Raise UserError, ending with `expected`, if there is none."""
    paths = find_images(folder)
    if not paths:
        raise UserError(f"{folder} contains no image ({', '.join(sorted(SUFFIXES))}). {expected}")
    return paths

"""Any tree of pictures, with or without classes."""

from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import RESIZE, SUFFIXES, check_image_format, decode, find_images
from ganrun.data.decode_all import check_bad_images, decode_all
from ganrun.data.source import FileSource, root_folder
from ganrun.errors import UserError
from ganrun.seeds import named_generator

EXPECTED = "Expected is a folder of pictures; two or more subfolders side by side are classes."


class Folder(FileSource):
    """All pictures below `root`. Class = first-level subfolder, where every picture lies in one of two or more.

    held_out: share of the pictures that is kept from training, as a test split.
    """

    name = "folder"

    def __init__(self, root: str | None, size: int, channels: int, fit: str, bad_images: str, held_out: float):
        check_image_format(size, channels, fit)
        check_bad_images(bad_images)
        if not 0 <= held_out < 1:
            raise UserError(f"data.held_out={held_out} must be a share from 0 to below 1.")
        self.root, self.size, self.channels, self.fit = root, size, channels, fit
        self.bad_images, self.held_out = bad_images, held_out

    def options(self) -> dict:
        names = ("size", "channels", "fit", "bad_images", "held_out")
        return {"root": str(self.root), "resize": RESIZE, **{name: getattr(self, name) for name in names}}

    @cached_property
    def _root(self) -> Path:
        return root_folder(self.root, self.name, EXPECTED)

    @cached_property
    def _paths(self) -> list[Path]:
        return require_images(self._root, EXPECTED)

    def files(self) -> list[Path]:
        return self._paths

    @cached_property
    def classes(self) -> list[str]:
        places = [path.relative_to(self._root).parts for path in self._paths]
        names = sorted({parts[0] for parts in places})
        return names if len(names) > 1 and all(len(parts) > 1 for parts in places) else []

    def write(self, store: CacheWriter) -> dict:
        skipped = []
        for split, paths in self._splits().items():
            read = partial(decode, size=self.size, channels=self.channels, fit=self.fit)
            shape = (self.channels, self.size, self.size)
            kept, bad = decode_all(store, split, "x", paths, shape, read, self.bad_images)
            skipped += bad
            if self.classes:
                number = {name: i for i, name in enumerate(self.classes)}
                labels = [number[paths[i].relative_to(self._root).parts[0]] for i in kept]
                store.save(split, "y", np.array(labels, dtype=np.int64))
        return {"classes": self.classes, "skipped": skipped}

    def _splits(self) -> dict[str, list[Path]]:
        count = round(self.held_out * len(self._paths))
        if not count:
            return {"train": self._paths}
        drawn = set(torch.randperm(len(self._paths), generator=named_generator("held out"))[:count].tolist())
        return {
            "train": [path for i, path in enumerate(self._paths) if i not in drawn],
            "test": [path for i, path in enumerate(self._paths) if i in drawn],
        }


def require_images(folder: Path, expected: str) -> list[Path]:
    """All pictures below a folder: at least one, or a UserError."""
    paths = find_images(folder)
    if not paths:
        raise UserError(f"{folder} holds no picture ({', '.join(sorted(SUFFIXES))}). {expected}")
    return paths

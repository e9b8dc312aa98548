"""What a data set has to provide: a Source, which reads the data set's own files. docs/extending.md has an example.

Files on disk: subclass FileSource, with `files`, `write` and `option_names`. See idx.py (arrays), unpaired.py (images).
Small or generated data: subclass Source, with `load` returning `cache.in_memory(...)`. See digits.py, gaussians.py.
Arrays are named by split and batch key: train-x, train-y, test-x, ... (or train-a, train-b for two domains).
`keys` says what each of them holds; without it, `gives` and `shape` of the yaml do.
A file conf/data/NAME.yaml names the class and passes it the settings that are not DataModule's.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, int64

from ganrun.data import cache
from ganrun.data.cache import CacheWriter, LoadedData
from ganrun.data.decode import RESIZE
from ganrun.data.keys import Key
from ganrun.data.roots import Root
from ganrun.errors import UserError


class Source:
    """One data set. Its constructor reads no file."""

    name = ""
    root: Root = None
    keys: Mapping[str, Key] = {}  # what a batch holds, the examples first; an attribute or a property
    classes: list[str] = []  # names of the classes, where they are known without files
    intensity: Any = None  # (images, domain) -> the digits in them, where they are known
    may_flip = True  # whether mirrored examples are such examples, too
    train_count: int | None = None  # examples for training, where they are known without loading them
    centers: Any = None  # means of the modes, float [K, d], for data whose modes are counted

    def count_classes(self) -> int:
        """Return the number of classes; names of folders may be read, but no image."""
        return len(self.classes)

    def explain_missing_labels(self) -> str:
        """Return why the data have no classes although they may have some; empty if they never have."""
        return ""

    def files(self) -> list[Path]:
        """Return all files to read, without opening one. Raise UserError where they are missing."""
        return []

    def prepare(self) -> None:
        """Do the slow work that is needed only once, such as downloading and decoding."""

    def load(self) -> LoadedData:
        """Return the arrays of all splits."""
        raise NotImplementedError

    def factor_values(self, factors: Tensor) -> dict[str, Tensor]:
        """Return {name: whole numbers, int64 [n]}, from rows of the key `factors`, [n, ...].

        They are what scores of disentanglement compare codes with: independent factors that the examples show. Numbers
        are put in bins. Empty for data without such factors.
        """
        return {}

    def plane(self, points: Tensor) -> Tensor:
        """Project points [N, d] to the plane in which they are plotted, [N, 2]: here their first two coordinates."""
        return points[:, :2]


class FileSource(Source):
    """A data set in files on disk, decoded once into a cache."""

    option_names: Sequence[str] = ("size", "channels")  # settings that change the content of the cache
    cache_version = 1  # of what `write` writes: raise it when `write` changes, so that old caches are not used

    def options(self) -> dict:
        """Return all that the content of the cache depends on, besides the files."""
        return {"root": str(self.root), "resize": RESIZE, **{name: getattr(self, name) for name in self.option_names}}

    def write(self, store: CacheWriter) -> dict:
        """Fill the cache; return {"classes": names, "skipped": reasons, "is_paired": bool}, or those that apply."""
        raise NotImplementedError

    @cached_property
    def cache_folder(self) -> Path:
        return cache.cache_folder(self.name, self._cache_options(), self.files())

    def _cache_options(self) -> dict:
        version = {"cache_version": self.cache_version} if self.cache_version != 1 else {}
        return {**self.options(), **version}

    def prepare(self) -> None:
        cache.write_cache(self.cache_folder, self._cache_options(), self.write)

    def load(self) -> LoadedData:
        data = cache.open_cache(self.cache_folder)
        for split, tensors in data.splits.items():
            if (
                not self.keys
                and "y" in tensors
                and not has_valid_labels(tensors["y"], len(tensors["x"]), len(data.classes))
            ):
                raise UserError(
                    f"The prepared data in {self.cache_folder} are damaged: {split} does not have one label for each "
                    f"image, or one without a class. Remove that folder and start again."
                )
        return data


def has_valid_labels(labels: Tensor, images: int, classes: int) -> bool:
    """Whether there is an int64 label for each image, below the number of classes if that is known (not 0)."""
    if labels.dtype != int64 or labels.shape != (images,):
        return False
    return not classes or not images or 0 <= int(labels.min()) <= int(labels.max()) < classes

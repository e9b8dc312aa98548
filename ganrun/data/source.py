"""What a data set has to provide: a Source, which reads the data set's own files.

To add a data set:

1. Write a class in a file of its own. Its constructor takes the settings of the data set and reads no file.
   - Files on disk: subclass FileSource. `files` finds them, `write` decodes them once into a cache of uint8 arrays,
     and `option_names` lists the settings that change the cache. Example: idx.py (arrays), unpaired.py (image files).
   - Small or generated data: subclass Source. `load` returns `cache.in_memory(...)`. Example: digits.py, gaussians.py.
   Arrays are named by split and batch key: train-x, train-y, test-x, ... (or train-a, train-b for two domains).
2. Add conf/data/NAME.yaml: `source` names the class, `gives` and `shape` say what an example is, and settings that are
   not DataModule's go to the constructor. Start from conf/data/digits.yaml or conf/data/folder.yaml.
3. Try it: ganrun train data=NAME dry_run=true. A class in your working folder needs no change here: mydata.MyData.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import CacheWriter, LoadedData
from ganrun.data.decode import RESIZE
from ganrun.errors import UserError


class Source:
    """One data set. Its constructor reads no file."""

    name = ""
    root: str | None = None
    classes: list[str] = []  # names of the classes, where they are known without files
    intensity: Any = None  # (images, domain) -> the digits in them, where they are known
    centers: Any = None  # means of the modes, float [K, d], for data whose modes are counted

    def count_classes(self) -> int:
        """Return the number of classes; names of folders may be read, but no image."""
        return len(self.classes)

    def files(self) -> list[Path]:
        """Return all files to read, without opening one. Raise UserError where they are missing."""
        return []

    def prepare(self) -> None:
        """Do what takes long and is needed once: download, decode."""

    def load(self) -> LoadedData:
        """Return the arrays of all splits."""
        raise NotImplementedError

    def plane(self, points: Tensor) -> Tensor:
        """Project points [N, d] to the plane in which they are plotted, [N, 2]: here their first two coordinates."""
        return points[:, :2]


class FileSource(Source):
    """A data set in files on disk, decoded once into a cache."""

    option_names: Sequence[str] = ("size", "channels")  # settings that change the content of the cache

    def options(self) -> dict:
        """Return all that the content of the cache depends on, besides the files."""
        return {"root": str(self.root), "resize": RESIZE, **{name: getattr(self, name) for name in self.option_names}}

    def write(self, store: CacheWriter) -> dict:
        """Fill the cache; return {"classes": names, "skipped": reasons, "is_paired": bool}, or those that apply."""
        raise NotImplementedError

    @cached_property
    def cache_folder(self) -> Path:
        return cache.cache_folder(self.name, self.options(), self.files())

    def prepare(self) -> None:
        cache.write_cache(self.cache_folder, self.options(), self.write)

    def load(self) -> LoadedData:
        return cache.open_cache(self.cache_folder)


def root_folder(root: str | None, data: str, expected: str) -> Path:
    """Return the data set's folder as an absolute path.

    expected: sentences on where the data come from and which files belong where, for the UserError if it is missing.
    """
    if root is None:
        raise UserError(f"data={data} reads images from your disk. Set data.root=FOLDER. {expected}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise UserError(f"data.root={root} {problem}. {expected}")
    return folder.resolve()

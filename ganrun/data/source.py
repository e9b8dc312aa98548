"""What a data source is: something that reads one data set's own files."""

from functools import cached_property
from pathlib import Path

from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import CacheWriter, LoadedData
from ganrun.errors import UserError


class Source:
    """One data set. Building it reads no file."""

    name = ""
    classes: list[str] = []
    intensity = None
    centers = None

    def count_classes(self) -> int:
        """How many classes there are, from names alone: no picture is read."""
        return len(self.classes)

    def prepare(self) -> None:
        """Does once what takes long: downloads, decodes."""

    def load(self) -> LoadedData:
        raise NotImplementedError

    def plane(self, points: Tensor) -> Tensor:
        """Points [N, d] where they are drawn, [N, 2]: in their first two coordinates."""
        return points[:, :2]


class FileSource(Source):
    """A data set in files on disk, kept as a uint8 cache.

    A subclass gives `options` (all that shapes the cache), `files` and `write`.
    """

    root: str | None

    def options(self) -> dict:
        raise NotImplementedError

    def files(self) -> list[Path]:
        """All files that are read, found without opening one."""
        raise NotImplementedError

    def write(self, store: CacheWriter) -> dict:
        """Fills the cache; returns the manifest's classes, skipped, is_paired."""
        raise NotImplementedError

    @cached_property
    def cache_folder(self) -> Path:
        """The cache folder."""
        return cache.cache_folder(self.name, self.options(), self.files())

    def prepare(self) -> None:
        cache.write_cache(self.cache_folder, self.options(), self.write)

    def load(self) -> LoadedData:
        return cache.open_cache(self.cache_folder)


def root_folder(root: str | None, data: str, expected: str) -> Path:
    """The data set's folder.

    expected: one sentence on where the data come from and how they lie there, for the message when they do not.
    """
    if root is None:
        raise UserError(f"data={data} reads pictures from your disk: say where with data.root=FOLDER. {expected}")
    folder = Path(root).expanduser()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise UserError(f"data.root={root} {what}. {expected}")
    return folder.resolve()

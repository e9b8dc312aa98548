"""How much of a disk a folder takes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")


@dataclass
class DiskUse:
    """Bytes on the disk: of checkpoints, pictures and other files.  files: how many."""

    checkpoints: int = 0
    pictures: int = 0
    others: int = 0
    files: int = 0

    @property
    def total(self) -> int:
        return self.checkpoints + self.pictures + self.others

    def __add__(self, more: "DiskUse") -> "DiskUse":
        return DiskUse(*(getattr(self, name) + getattr(more, name) for name in self.__dataclass_fields__))


def measure_disk(folder: Path) -> DiskUse:
    """Return the disk use of a folder. Follows no links, opens no file, and leaves out what cannot be listed."""
    use, seen = DiskUse(), set[int]()
    for entry in iterate_files(folder):
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink > 1 and status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            size, suffix = allocated_bytes(status), os.path.splitext(entry.name)[1]
            kind = "checkpoints" if suffix in (".ckpt", ".partial") else "pictures" if suffix in PICTURES else "others"
            setattr(use, kind, getattr(use, kind) + size)
            use.files += 1
    return use


def iterate_files(folder: Path) -> Iterator[os.DirEntry]:
    pending = [str(folder)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    yield entry


def allocated_bytes(status: os.stat_result) -> int:
    """Return the bytes that a file takes; its size where the system does not say."""
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else 512 * blocks

"""A folder of pictures as the data, or as the samples, of a score."""

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganrun.data.decode import BadImageError, to_array, upright
from ganrun.data.folder import require_images
from ganrun.errors import UserError
from ganrun.seeds import named_generator
from ganrun.terminal import progress_bar

WINDOW = 64  # pictures decoded at once
MOST_BYTES = 2**26  # of one part of pictures, which becomes four times as large as floats


class PictureFolder:
    """All pictures below a folder at their own sizes, grey or colour, in an order drawn once and for all.

    It has what suites ask of data. Its statistics are known anew when a file's place, size or time has changed.
    """

    name, gives, reference_splits = "folder", ("x", "picture"), ("folder",)
    shape = (3, None, None)  # of many sizes
    classes: list[str] = []

    def __init__(self, folder: str, seed: int = 0):
        """seed: of the order. Raises UserError for a folder that is not there or holds fewer than two pictures."""
        self.folder, self.seed = Path(folder).expanduser(), seed
        if not self.folder.is_dir():
            what = "is a file, not a folder" if self.folder.is_file() else "does not exist"
            raise UserError(f"{folder} {what}. Give two folders: ganrun eval --folder A --against B")
        self.paths = require_images(self.folder, "Expected is a folder of pictures, in subfolders or not.")
        if len(self.paths) < 2:
            raise UserError(f"{folder} holds one picture, {self.paths[0].name}: scores need two or more.")

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the files' places, sizes and times; none is opened."""
        digest = sha256()
        for path in self.paths:
            stat = os.stat(path)
            digest.update(f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:32]

    def reference_count(self, key: str = "x") -> int:
        return len(self.paths)

    def reference(self, key: str = "x", limit: int | None = None) -> Iterator[Tensor]:
        """The first `limit` pictures of the order: uint8 [n, 1 or 3, H, W], those of one part of one size.

        Raises UserError for one that cannot be read.
        """
        order = torch.randperm(len(self.paths), generator=named_generator("folder", self.seed))[:limit]
        paths = [self.paths[i] for i in order]
        windows = [paths[start : start + WINDOW] for start in range(0, len(paths), WINDOW)]
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
            for window in progress_bar(windows, f"reading {len(paths):,} pictures of {self.folder}"):
                yield from group_by_size([*pool.map(load_picture, window)])


def load_picture(path: Path) -> np.ndarray:
    """One picture: uint8 [1 or 3, H, W]."""
    try:
        return to_array(upright(path))
    except BadImageError as error:
        raise UserError(f"Cannot decode {error}. Mend the file, or take it out of its folder.") from error


def group_by_size(pictures: list[np.ndarray]) -> Iterator[Tensor]:
    """The pictures in parts of one size each, none larger than MOST_BYTES or than one picture."""
    groups = defaultdict(list)
    for picture in pictures:
        groups[picture.shape].append(picture)
    for group in groups.values():
        yield from torch.from_numpy(np.stack(group)).split(max(1, MOST_BYTES // group[0].size))

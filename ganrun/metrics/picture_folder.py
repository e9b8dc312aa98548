"""A folder of images, to be scored or to score against."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganrun.data.cache import file_version
from ganrun.data.decode import BadImageError, open_image, to_array, upright
from ganrun.data.image_files import describe_left_out, list_images, refuse_lost, require_image_files
from ganrun.data.roots import explain_no_folder
from ganrun.errors import UserError, shorten
from ganrun.files import user_path
from ganrun.seeds import named_generator
from ganrun.terminal import progress_bar

log = logging.getLogger(__name__)
WINDOW = 64  # images decoded at once, if they take at most:
MAX_WINDOW_BYTES = 2**26
MAX_PIXELS = 25_000_000  # of a picture: the extractors resize it in float32
MAX_BATCH_BYTES = 2**26  # as uint8; in float32 it takes four times as much


class PictureFolder:
    """All images below a folder at their own sizes, grey or colour, in a fixed random order.

    It has the attributes that suites read of data. The fingerprint changes with a file's path, size or time stamp.
    """

    name, gives, reference_splits = "folder", ("x", "picture"), ("folder",)
    shape = (3, None, None)  # sizes vary
    classes: list[str] = []

    def __init__(self, folder: str, seed: int = 0):
        """seed: of the order. Raises UserError if the folder does not exist or holds fewer than two images."""
        self.folder, self.seed = user_path(folder), seed
        if problem := explain_no_folder(folder):
            raise UserError(
                f"{shorten(folder)} {problem}. Give two folders of images: ganrun eval --folder A --against B"
            )
        found = list_images(self.folder)
        refuse_lost([found], "Repair or remove them: scores of a part of the images would be others.")
        self.paths = require_image_files(found, "Give a folder of images; they may lie in subfolders.").paths
        log.info("%s: %d images used; left out: %s", folder, len(self.paths), describe_left_out([found]) or "none")
        if len(self.paths) < 2:
            raise UserError(f"{folder} holds one image, {self.paths[0].name}: scores need at least two.")

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the files' paths, sizes and modification times; no file is opened."""
        digest = sha256()
        for path in self.paths:
            digest.update(file_version(path.resolve()))
        return digest.hexdigest()[:32]

    def reference_count(self, key: str = "x") -> int:
        return len(self.paths)

    test_count = reference_count  # a folder is one split

    def reference(self, key: str = "x", limit: int | None = None) -> Iterator[Tensor]:
        """Yield the first `limit` images of the order in batches of one size each: uint8 [n, 1 or 3, H, W].

        Raises UserError for an image that cannot be decoded.
        """
        order = torch.randperm(len(self.paths), generator=named_generator("folder", self.seed))[:limit]
        paths = [self.paths[i] for i in order]
        windows = [paths[start : start + WINDOW] for start in range(0, len(paths), WINDOW)]
        with ThreadPoolExecutor() as pool:  # Pillow releases the GIL while it decodes
            for window in progress_bar(windows, f"reading {len(paths):,} images of {self.folder}"):
                for part in split_by_memory(window):
                    yield from group_by_size([*pool.map(load_picture, part)])


def split_by_memory(paths: list[Path]) -> list[list[Path]]:
    """Return the paths in groups whose pictures take at most MAX_WINDOW_BYTES, or of a single one."""
    groups, size = [[]], 0
    for path in paths:
        picture = measure_picture(path)
        size += picture
        if groups[-1] and size > MAX_WINDOW_BYTES:
            groups, size = [*groups, []], picture
        groups[-1].append(path)
    return groups


def measure_picture(path: Path) -> int:
    """Return the bytes of a picture in RGB, from its header."""
    with refused(), open_image(path) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise BadImageError(f"{path}: it has {pixels:,} pixels; at most {MAX_PIXELS:,} are scored")
        return 3 * pixels


def load_picture(path: Path) -> np.ndarray:
    """Decode one image: uint8 [1 or 3, H, W]."""
    with refused(), upright(path) as image:
        return to_array(image)


@contextmanager
def refused() -> Iterator[None]:
    """Explain what to do about an image that cannot be decoded."""
    try:
        yield
    except BadImageError as error:
        raise UserError(f"Cannot decode {error}. Replace the file, or remove it from the folder.") from error


def group_by_size(pictures: list[np.ndarray]) -> Iterator[Tensor]:
    """Yield the images in batches of one size each, of at most MAX_BATCH_BYTES or one image."""
    groups = defaultdict(list)
    for picture in pictures:
        groups[picture.shape].append(picture)
    for group in groups.values():
        yield from torch.from_numpy(np.stack(group)).split(max(1, MAX_BATCH_BYTES // group[0].size))

"""The uint8 cache of a data set: .npy files and a manifest, written once, then memory-mapped.

A cache folder is complete or absent: it is written under another name and renamed, so that two processes at the same
time, or one that is killed, do no harm.
"""

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap, write_array_header_1_0
from torch import Tensor

from ganrun.errors import UserError, is_full_disk
from ganrun.files import (
    building,
    cache_dir,
    check_regular,
    is_unfinished,
    read_json,
    remove_abandoned,
    remove_unchanged,
    to_json,
)
from ganrun.terminal import round_bytes

log = logging.getLogger(__name__)
MAX_MANIFEST_BYTES = 2**26  # it lists the images that were skipped
VERSION = 1  # version of the content: raise it when decoding or resizing changes


@dataclass(frozen=True)
class LoadedData:
    """A loaded data set.

    splits: {"train": {"x": uint8 [N, C, H, W] or float [N, d], "y": int64 [N], ...}, "test": {...}}
    skipped: images that could not be decoded, each with the reason.
    """

    splits: dict[str, dict[str, Tensor]]
    fingerprint: str
    classes: list[str] = field(default_factory=list)
    is_paired: bool = False
    skipped: list[str] = field(default_factory=list)


class CacheWriter:
    """Writes the arrays of a new cache folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def new(self, split: str, key: str, shape: tuple[int, ...]) -> np.memmap:
        """Create a uint8 array on disk, to be filled by the caller."""
        size, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(self.folder).free
        if size > free:
            raise no_room(size, free)
        return map_new_file(self._path(split, key), np.dtype(np.uint8), shape)

    def save_blocks(self, split: str, key: str, count: int, blocks: Iterator[np.ndarray]) -> None:
        """Write a uint8 array of `count` rows that comes in blocks, none of which stays in memory."""
        first = next(blocks)
        shape = (count, *first.shape[1:])
        with self._path(split, key).open("wb") as file:
            write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for block in chain([first], blocks):
                file.write(np.ascontiguousarray(block).data)

    def save(self, split: str, key: str, array: np.ndarray) -> None:
        np.save(self._path(split, key), array)

    def keep_rows(self, split: str, key: str, rows: list[int]) -> None:
        """Reduce an array to these rows, in this order."""
        old = np.load(self._path(split, key), mmap_mode="r")
        new = map_new_file(self.folder / "new.npy", old.dtype, (len(rows), *old.shape[1:]))
        for i, row in enumerate(rows):
            new[i] = old[row]
        new.flush()
        (self.folder / "new.npy").replace(self._path(split, key))

    def _path(self, split: str, key: str) -> Path:
        return self.folder / f"{split}-{key}.npy"


def map_new_file(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    """Return a memory map of a new .npy file whose space is reserved: on a full disk, writing to it would be SIGBUS."""
    array = open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    size = path.stat().st_size
    if hasattr(os, "posix_fallocate") and size:
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:  # some file systems cannot reserve
                if is_full_disk(error):
                    raise no_room(size, shutil.disk_usage(path.parent).free) from error
    return array


def no_room(size: int, free: int) -> UserError:
    """Return the error that the disk of the cache has no room for an array."""
    missing = round_bytes(max(size - free, 1))
    return UserError(
        f"The prepared data need {round_bytes(size)}, {missing} more than {cache_dir()} has free. "
        "Make room, or set the environment variable GANRUN_CACHE to another folder."
    )


def cache_folder(name: str, options: dict, files: Iterable[Path]) -> Path:
    """Return the cache folder for these options and for the files' sizes and times; no file is opened."""
    key = sha256(json.dumps([VERSION, options], sort_keys=True, default=str).encode())
    for path in files:
        key.update(file_version(path))
    return cache_dir() / "data" / f"{name}-{key.hexdigest()[:16]}"


def file_version(path: Path) -> bytes:
    """Return a line that changes with the file's path, size or time. A link that leads nowhere has no size and time."""
    try:
        stat = os.stat(path)
        return os.fsencode(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n")
    except OSError:
        return os.fsencode(f"{path}||\n")


def write_cache(folder: Path, options: dict, write: Callable[[CacheWriter], dict]) -> None:
    """Write the cache unless it exists.

    write: writes the arrays and returns further entries of the manifest: classes, skipped, is_paired.
    """
    remove_abandoned(folder.parent)
    if (folder / "manifest.json").is_file():
        return
    _make_parent(folder)
    with building(folder) as partial:
        partial.mkdir()
        entries = write(CacheWriter(partial))
        _write_manifest(partial, options, entries)
        try:
            partial.rename(folder)
        except OSError:
            if not (folder / "manifest.json").is_file():
                raise
            log.info("Another process has already prepared %s", folder)
    skipped = entries.get("skipped", [])
    for line in skipped[:10]:
        log.warning("Skipped %s", line)
    if skipped:
        log.warning("Skipped images: %d, all listed in %s", len(skipped), folder / "manifest.json")


def _make_parent(folder: Path) -> None:
    """Create the folder of all caches if needed, and remove from it what killed processes of version 0.1 have left."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(folder.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"Cannot write to the cache folder {cache_dir()} ({error.strerror}). "
            "Set the environment variable GANRUN_CACHE to another folder."
        ) from error
    remove_unchanged(path for path in folder.parent.glob(".*-*") if not is_unfinished(path))


def _write_manifest(folder: Path, options: dict, entries: dict) -> None:
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    manifest = {"options": options, "shapes": shapes, **entries, "fingerprint": _fingerprint(arrays, options)}
    (folder / "manifest.json").write_text(to_json(manifest, indent=1, default=str))


def _fingerprint(arrays: dict[str, np.ndarray], options: dict) -> str:
    """Return a hex digest of the arrays and the options, except the folder of the files."""
    portable = {key: value for key, value in options.items() if key != "root"}
    digest = sha256(json.dumps(portable, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        for start in range(0, len(array), 4096):
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest.hexdigest()[:32]


def open_cache(folder: Path) -> LoadedData:
    """Load a cached data set, memory-mapped copy-on-write: changes of the tensors never reach the files."""
    try:
        manifest = read_json(folder / "manifest.json", MAX_MANIFEST_BYTES)
        splits = _splits({name: _open_array(folder, name, shape) for name, shape in manifest["shapes"].items()})
        entries = {key: manifest[key] for key in ("classes", "is_paired", "skipped") if key in manifest}
        lists = entries.get("classes", []), entries.get("skipped", [])
        if not isinstance(manifest["fingerprint"], str) or not all(isinstance(each, list) for each in lists):
            raise ValueError("its manifest.json has values that ganrun does not write")
        data = LoadedData(splits, manifest["fingerprint"], **entries)
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        message = f"The prepared data in {folder} are damaged ({error}). Remove that folder and start again."
        raise UserError(message) from error
    return data


def _open_array(folder: Path, name: str, shape: list[int]) -> np.ndarray:
    """Map an array of numbers that has the name and shape of the manifest. Raises ValueError for another."""
    if not re.fullmatch(r"[a-z]+-[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"{name} is not the name of an array")
    path = folder / f"{name}.npy"
    check_regular(path, follow_links=True)
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # numpy evaluates the header, and raises half a dozen types for a damaged one
        raise ValueError(f"{path.name} is not an array: {error}") from error
    if array.dtype.kind not in "uif" or list(array.shape) != shape:
        raise ValueError(f"{path.name} is {array.dtype} {list(array.shape)}, not {shape} as in the manifest")
    return array


def in_memory(arrays: dict[str, np.ndarray], options: dict, **entries) -> LoadedData:
    """Return a small data set that needs no cache. arrays: {"train-x": array, ...}.  entries: of LoadedData."""
    return LoadedData(_splits(arrays), _fingerprint(arrays, options), **entries)


def _splits(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Tensor]]:
    splits: dict[str, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        split, key = name.split("-")
        splits.setdefault(split, {})[key] = torch.from_numpy(array)
    return splits

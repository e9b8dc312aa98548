"""The uint8 cache of a data set: .npy files and a manifest, written once, memory-mapped ever after.

A cache folder appears whole or not at all: it is written beside its place and renamed, so that two processes at once,
or one that is killed, do no harm.
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from ganrun.errors import UserError
from ganrun.paths import cache_dir

log = logging.getLogger(__name__)
VERSION = 1  # of the cache's content: raise it when decoding or resizing changes


@dataclass(frozen=True)
class LoadedData:
    """A loaded data set.

    splits: {"train": {"x": uint8 [N, C, H, W] or float [N, d], "y": int64 [N], ...}, "test": {...}}
    skipped: pictures left out, each with its reason.
    """

    splits: dict[str, dict[str, Tensor]]
    fingerprint: str
    classes: list[str] = field(default_factory=list)
    is_paired: bool = False
    skipped: list[str] = field(default_factory=list)


class CacheWriter:
    """A cache folder that is being written."""

    def __init__(self, folder: Path):
        self.folder = folder

    def new(self, split: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
        """A uint8 array on disk, to be filled."""
        size, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(self.folder).free
        if size > free:  # a memory map that outgrows the disk would kill the process without a message
            raise UserError(
                f"The prepared data take {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free in {cache_dir()}: "
                "make room, or name another folder in the environment variable GANRUN_CACHE."
            )
        return open_memmap(self._path(split, key), mode="w+", dtype=np.uint8, shape=shape)

    def save(self, split: str, key: str, array: np.ndarray) -> None:
        np.save(self._path(split, key), array)

    def keep_rows(self, split: str, key: str, rows: list[int]) -> None:
        """Leaves these rows of an array, in this order."""
        old = np.load(self._path(split, key), mmap_mode="r")
        fresh = open_memmap(self.folder / "fresh.npy", mode="w+", dtype=old.dtype, shape=(len(rows), *old.shape[1:]))
        for at, row in enumerate(rows):
            fresh[at] = old[row]
        fresh.flush()
        (self.folder / "fresh.npy").replace(self._path(split, key))

    def _path(self, split: str, key: str) -> Path:
        return self.folder / f"{split}-{key}.npy"


def cache_folder(name: str, options: dict, files: Iterable[Path]) -> Path:
    """The cache folder of a data set, by its options and its files' sizes and times: no file is opened."""
    key = sha256(json.dumps([VERSION, options], sort_keys=True, default=str).encode())
    for path in files:
        stat = os.stat(path)
        key.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return cache_dir() / "data" / f"{name}-{key.hexdigest()[:16]}"


def write_cache(folder: Path, options: dict, write: Callable[[CacheWriter], dict]) -> None:
    """Writes the cache unless it is there.

    write: fills the store; returns what the manifest tells beside it (classes, skipped, is_paired).
    """
    if (folder / "manifest.json").is_file():
        return
    with _space_to_write(folder) as fresh:
        facts = write(CacheWriter(fresh))
        _write_manifest(fresh, options, facts)
        _move(fresh, folder)
    for line in facts.get("skipped", [])[:10]:
        log.warning("Skipped %s", line)
    if facts.get("skipped"):
        log.warning("Pictures skipped: %d, all listed in %s", len(facts["skipped"]), folder / "manifest.json")


@contextmanager
def _space_to_write(folder: Path):
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"The cache folder {cache_dir()} cannot be written ({error.strerror}): "
            "name another one in the environment variable GANRUN_CACHE."
        ) from error
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _move(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        if not (folder / "manifest.json").is_file():
            raise
        log.info("Another process has just prepared %s", folder)


def _write_manifest(folder: Path, options: dict, facts: dict) -> None:
    arrays = sorted(folder.glob("*.npy"))
    shapes = {path.stem: list(np.load(path, mmap_mode="r").shape) for path in arrays}
    manifest = {"options": options, "shapes": shapes, **facts}
    manifest["fingerprint"] = _fingerprint({path.stem: np.load(path, mmap_mode="r") for path in arrays}, options)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, default=str))


def _fingerprint(arrays: dict[str, np.ndarray], options: dict) -> str:
    """Hex digest of arrays and options; where the files lie does not change it."""
    portable = {key: value for key, value in options.items() if key != "root"}
    digest = sha256(json.dumps(portable, sort_keys=True, default=str).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        for start in range(0, len(array), 4096):
            digest.update(np.ascontiguousarray(array[start : start + 4096]))
    return digest.hexdigest()[:32]


def open_cache(folder: Path) -> LoadedData:
    """The cached data set, its arrays memory-mapped: the files are never written, whatever happens to the tensors."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        splits = _splits({name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in manifest["shapes"]})
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"The prepared data in {folder} are damaged ({error}): remove that folder and start again."
        ) from error
    told = {key: manifest[key] for key in ("classes", "is_paired", "skipped") if key in manifest}
    return LoadedData(splits, manifest["fingerprint"], **told)


def in_memory(arrays: dict[str, np.ndarray], options: dict, **told) -> LoadedData:
    """A small data set that needs no cache: {"train-x": array, ...}."""
    return LoadedData(_splits(arrays), _fingerprint(arrays, options), **told)


def _splits(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Tensor]]:
    splits: dict[str, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        split, key = name.split("-")
        splits.setdefault(split, {})[key] = torch.from_numpy(array)
    return splits

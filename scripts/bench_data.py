"""Measure ganrun's batches against DataLoaders, and how decoding uses the CPUs."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from bench_loop import Work, build_work
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ganrun.data import decode_all, images
from ganrun.data.decode import decode

SIZE, BATCH = 64, 64
NOTE = f"""\
Batches of {BATCH} images of {SIZE}x{SIZE} in [-1, 1] with random flips, on one thread: CPU seconds. Preparation, once
per data set: wall-clock seconds for decoding JPEGs of 178x218 with two threads and with one."""


class ImageFiles(Dataset):
    """Single images, decoded on demand, as in most data loading code."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Tensor:
        return scale_and_flip(torch.from_numpy(decode(self.paths[i], SIZE, 3).copy()))


class PreparedImages(Dataset):
    """Single images of the prepared array."""

    def __init__(self, array: Tensor):
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: int) -> Tensor:
        return scale_and_flip(self.array[i])


def scale_and_flip(image: Tensor) -> Tensor:
    x = images.to_float(image)
    return x.flip(2) if torch.rand(()) < 0.5 else x


def make_jpegs(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of smooth noise in CelebA's size, which compress about as well as CelebA."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 23, 3), dtype=np.uint8))
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(folder / f"{n:06d}.jpg", quality=90)
    return sorted(folder.iterdir())


def cpu_seconds(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def consume(batches, count: int) -> None:
    """Iterate over this number of batches."""
    for _ in islice(batches, count):
        pass


def measure_batches(paths: list[Path], folder: Path, rounds: int, count: int) -> list[dict]:
    """Compare ganrun's batches with those of DataLoaders, in pairs of rounds."""
    overrides = (
        f"model=dcgan data=folder data.root={paths[0].parent} data.size={SIZE} data.flip=true batch_size={BATCH}"
    )
    data = build_work(Work("", overrides.split(), 0, 0), folder).data
    ours = data.batches.endless()
    array = data.contents.splits["train"]["x"]
    peers = {
        "DataLoader, Pillow": DataLoader(ImageFiles(paths), BATCH, shuffle=True, drop_last=True),
        "DataLoader over the same array": DataLoader(PreparedImages(array), BATCH, shuffle=True, drop_last=True),
    }
    results = {name: [] for name in peers}
    consume(ours, count)
    for _ in range(rounds):
        for name, loader in peers.items():
            mine, theirs = cpu_seconds(partial(consume, ours, count)), cpu_seconds(partial(consume, loader, count))
            results[name].append(theirs / mine)
    return [{"work": "batches", "against": name, "ratios": ratios} for name, ratios in results.items()]


class TemporaryWriter:
    """A CacheWriter for a single array in a temporary file."""

    def new(self, split: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.memmap(tempfile.TemporaryFile(), np.uint8, "w+", shape=shape)


def measure_preparation(paths: list[Path], rounds: int) -> list[dict]:
    """Compare decoding with two threads and with one."""

    def seconds(threads: int) -> float:
        with patch.object(decode_all, "cpu_count", lambda: threads):
            start = time.perf_counter()
            decode_all.decode_all(TemporaryWriter(), "train", "x", paths, "raise", SIZE, channels=3)
            return time.perf_counter() - start

    seconds(2)
    ratios = [seconds(1) / seconds(2) for _ in range(rounds)]
    return [{"work": f"preparing {len(paths):,} JPEGs, two threads", "against": "one thread", "ratios": ratios}]


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    count = 500 if is_quick else 10_000

    def batches() -> list[dict]:
        with jpegs(count) as paths:
            folder = paths[0].parents[1]
            return measure_batches(paths, folder, rounds or (3 if is_quick else 15), count // BATCH // 10)

    def preparation() -> list[dict]:
        with jpegs(count) as paths:
            return measure_preparation(paths, rounds or 7)

    return {"batches": batches, f"preparing {count:,} JPEGs, two threads": preparation}


@contextmanager
def jpegs(count: int) -> Iterator[list[Path]]:
    """Make JPEGs, and a cache beside them, for the block."""
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GANRUN_CACHE=f"{name}/cache"):
        yield make_jpegs(Path(name) / "jpegs", count)

"""ganrun's way from pictures on disk to batches, against DataLoaders; and how preparing uses the processors."""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from bench_loop import Work, job_of
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ganrun.data import decode_all, images
from ganrun.data.decode import decode

SIZE, BATCH = 64, 64
NOTE = f"""\
Batches of {BATCH} pictures of {SIZE}x{SIZE} in [-1, 1] with random flips, on one thread: CPU seconds. Preparing, which
happens once for a data set: seconds of the clock for reading JPEGs of 178x218, with two threads and with one."""


class Files(Dataset):
    """A picture at a time, decoded when it is asked for, as most data loading code does it."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Tensor:
        return flipped(torch.from_numpy(decode(self.paths[i], SIZE, 3).copy()))


class Stored(Dataset):
    """A picture at a time from the prepared array."""

    def __init__(self, array: Tensor):
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, i: int) -> Tensor:
        return flipped(self.array[i])


def flipped(picture: Tensor) -> Tensor:
    x = images.to_float(picture)
    return x.flip(2) if torch.rand(()) < 0.5 else x


def make_jpegs(folder: Path, count: int) -> list[Path]:
    """Smooth noise of CelebA's form, which packs about as CelebA does."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for n in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (28, 23, 3), dtype=np.uint8))
        coarse.resize((178, 218), Image.Resampling.BICUBIC).save(folder / f"{n:06d}.jpg", quality=90)
    return sorted(folder.iterdir())


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def drawn(batches, count: int) -> None:
    """So many batches, to the end."""
    for _ in islice(batches, count):
        pass


def loading(paths: list[Path], folder: Path, rounds: int, count: int) -> list[dict]:
    """The pairs of rounds of ganrun's batches and of each DataLoader's."""
    settings = f"model=dcgan data=folder data.root={paths[0].parent} data.size={SIZE} data.flip=true batch_size={BATCH}"
    data = job_of(Work("", settings.split(), 0, 0), folder).data
    ours = data.batches.endless()
    array = data.contents.splits["train"]["x"]
    peers = {
        "DataLoader, Pillow": DataLoader(Files(paths), BATCH, shuffle=True, drop_last=True),
        "DataLoader over the same array": DataLoader(Stored(array), BATCH, shuffle=True, drop_last=True),
    }
    found = {name: [] for name in peers}
    drawn(ours, count)
    for _ in range(rounds):
        for name, loader in peers.items():
            mine, theirs = cpu_seconds(partial(drawn, ours, count)), cpu_seconds(partial(drawn, loader, count))
            found[name].append(theirs / mine)
    return [{"work": "batches", "against": name, "ratios": ratios} for name, ratios in found.items()]


class Rows:
    """A store for one array in memory."""

    def new(self, split: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.memmap(tempfile.TemporaryFile(), np.uint8, "w+", shape=shape)


def preparing(paths: list[Path], rounds: int) -> list[dict]:
    """The pairs of preparations with two threads and with one."""

    def seconds(threads: int) -> float:
        with patch.object(decode_all, "cpu_count", lambda: threads):
            start = time.perf_counter()
            read = partial(decode, size=SIZE, channels=3)
            decode_all.decode_all(Rows(), "train", "x", paths, (3, SIZE, SIZE), read, "raise")
            return time.perf_counter() - start

    seconds(2)
    ratios = [seconds(1) / seconds(2) for _ in range(rounds)]
    return [{"work": f"preparing {len(paths):,} JPEGs, two threads", "against": "one thread", "ratios": ratios}]


def measured(rounds: int | None, is_quick: bool) -> list[dict]:
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GANRUN_CACHE=f"{name}/cache"):
        paths = make_jpegs(Path(name) / "jpegs", 500 if is_quick else 10_000)
        few = 3 if is_quick else 15
        return [*loading(paths, Path(name), rounds or few, len(paths) // BATCH // 10), *preparing(paths, rounds or 7)]

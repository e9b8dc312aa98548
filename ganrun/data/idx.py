"""MNIST and Fashion-MNIST: LeCun's idx files, gzipped or not."""

import gzip
import math
import zlib
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import Size, check_image_format, resize_in_blocks
from ganrun.data.download import download
from ganrun.data.roots import root_folder
from ganrun.data.source import FileSource
from ganrun.errors import UserError
from ganrun.files import open_regular

PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

MAX_ITEMS, MAX_BYTES = 1_000_000, 200_000_000  # of a file; MNIST has 60,000 images and 47 million bytes


class Idx(FileSource):
    """A data set in idx files: in torchvision's layout below `root`; downloaded if `root` is None."""

    title = ""  # name of the folder in torchvision's layout
    mirrors: list[str] = []
    md5: tuple[str, str, str, str]  # MD5 of the four gzipped files, in the order of PARTS

    def __init__(self, root: str | None, size: Size, channels: int):
        check_image_format(size, channels)
        self.root, self.size, self.channels = root, size, channels

    def files(self) -> list[Path]:
        return self._paths

    @cached_property
    def _paths(self) -> list[Path]:
        if self.root is not None:
            return self._find_on_disk()
        advice = f"Put {', '.join(part + '.gz' for part in PARTS)} into a folder and set data.root=FOLDER."
        return [
            download([f"{mirror}{part}.gz" for mirror in self.mirrors], md5, self.name, advice)
            for part, md5 in zip(PARTS, self.md5, strict=True)
        ]

    def _find_on_disk(self) -> list[Path]:
        expected = (
            f"Expected: {', '.join(PARTS)}, each with or without .gz, in ROOT/{self.title}/raw "
            "(torchvision's layout) or in ROOT itself. Omit data.root to download them."
        )
        root = root_folder(self.root, self.name, expected)
        for folder in (root / self.title / "raw", root):
            paths = {part: path for part in PARTS for end in (".gz", "") if (path := folder / f"{part}{end}").is_file()}
            if len(paths) == len(PARTS):
                return list(paths.values())
        raise UserError(f"data.root={self.root} does not contain {self.title}. {expected}")

    def write(self, store: CacheWriter) -> dict:
        self._write_split(store, "train", *self._paths[:2])
        self._write_split(store, "test", *self._paths[2:])
        return {"classes": self.classes}

    def _write_split(self, store: CacheWriter, split: str, images: Path, labels: Path) -> None:
        x, y = read_idx(images), read_idx(labels)
        if x.ndim != 3 or x.shape[1] != x.shape[2] or y.ndim != 1:
            raise UserError(f"{images} and {labels} have shapes {x.shape} and {y.shape}: not images and labels.")
        if len(x) != len(y):
            raise UserError(f"{images} contains {len(x)} images, but {labels} contains {len(y)} labels.")
        if len(y) and y.max() >= len(self.classes):
            raise UserError(f"{labels} is damaged: label {y.max()}, but there are {len(self.classes)} classes.")
        store.save_blocks(split, "x", len(x), resize_in_blocks(x[:, None], self.size, self.channels))
        store.save(split, "y", y.astype(np.int64))


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file (yann.lecun.com/exdb/mnist) of unsigned bytes, gzipped or not. Raise UserError if damaged."""
    try:
        with open_regular(path, follow_links=True) as raw:
            file: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            return read_values(file, path, read_shape(file, path))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}). Download it again.") from error


def read_shape(file: IO[bytes], path: Path) -> tuple[int, ...]:
    """Return the shape in the header of an idx file."""
    magic = file.read(4)
    axes = magic[3] if len(magic) == 4 and magic[:3] == b"\0\0\x08" else 0
    header = file.read(4 * axes)
    if not 1 <= axes <= 3 or len(header) < 4 * axes:
        raise UserError(f"{path} is damaged: its header is not that of an idx file of bytes. Download it again.")
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    if shape[0] > MAX_ITEMS or math.prod(shape) > MAX_BYTES:
        limit = f"at most {MAX_ITEMS:,} images or labels and {MAX_BYTES:,} bytes are read"
        raise UserError(f"{path}: its header announces shape {shape}; {limit}.")
    return shape


def read_values(file: IO[bytes], path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of this shape, which must be all that is left of the file. No more than they take is read."""
    values, count = np.empty(math.prod(shape), np.uint8), 0
    while block := file.read(min(2**20, len(values) - count + 1)):
        if count + len(block) > len(values):
            raise UserError(f"{path} is damaged: its header announces shape {shape}, but more bytes follow.")
        values[count : count + len(block)] = np.frombuffer(block, np.uint8)
        count += len(block)
    if count < len(values):
        message = f"{path} is damaged: its header announces shape {shape}, but {count} bytes follow."
        raise UserError(f"{message} Download it again.")
    return values.reshape(shape)


class Mnist(Idx):
    """60,000 + 10,000 handwritten digits, 28x28 (LeCun, Cortes, Burges; CC BY-SA 3.0)."""

    name, title = "mnist", "MNIST"
    classes = [str(digit) for digit in range(10)]
    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    md5 = (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )


class FashionMnist(Idx):
    """60,000 + 10,000 pieces of clothing, 28x28 (Xiao, Rasul, Vollgraf 2017; MIT licence)."""

    name, title = "fashion_mnist", "FashionMNIST"
    classes = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    md5 = (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )

"""CIFAR-10: Krizhevsky's python or binary batches, in a folder or in their archive."""

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import Size, check_image_format, resize_images
from ganrun.data.download import download
from ganrun.data.source import FileSource, root_folder
from ganrun.errors import UserError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
PYTHON = {"train": BATCHES, "test": ["test_batch"]}
BINARY = {"train": [f"{name}.bin" for name in BATCHES], "test": ["test_batch.bin"]}
LAYOUTS = {  # folder: its archive, its files
    "cifar-10-batches-py": ("cifar-10-python.tar.gz", PYTHON),
    "cifar-10-batches-bin": ("cifar-10-binary.tar.gz", BINARY),
}
MAX_BYTES = 64_000_000  # limit for one batch file; the real ones have 31 million
EXPECTED = (
    "Expected: one of ROOT/cifar-10-batches-py (torchvision's layout), ROOT/cifar-10-batches-bin, "
    "ROOT/cifar-10-python.tar.gz, ROOT/cifar-10-binary.tar.gz, or the batch files in ROOT itself. "
    "Omit data.root to download them."
)


class Cifar10(FileSource):
    """50,000 + 10,000 colour images of ten classes, 32x32 (Krizhevsky 2009)."""

    name = "cifar10"
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

    def __init__(self, root: str | None, size: Size, channels: int):
        check_image_format(size, channels)
        self.root, self.size, self.channels = root, size, channels

    def files(self) -> list[Path]:
        path, names = self._location
        return [path] if path.is_file() else [path / name for name in chain(*names.values())]

    @cached_property
    def _location(self) -> tuple[Path, dict[str, list[str]]]:
        """The folder or archive, and the names of the files in it by split."""
        if self.root is None:
            advice = "Put that file into a folder and set data.root=FOLDER."
            return download([URL], MD5, self.name, advice), PYTHON
        root = root_folder(self.root, self.name, EXPECTED)
        for folder, (archive, names) in LAYOUTS.items():
            for path in (root / folder, root):
                if all((path / name).is_file() for name in chain(*names.values())):
                    return path, names
            if (root / archive).is_file():
                return root / archive, names
        raise UserError(f"data.root={self.root} does not contain CIFAR-10. {EXPECTED}")

    def write(self, store: CacheWriter) -> dict:
        path, names = self._location
        parse = parse_python_batch if names is PYTHON else parse_binary_batch
        for split, parts in names.items():
            batches = [parse(content, f"{path}: {name}") for name, content in read_files(path, parts).items()]
            store.save(split, "x", resize_images(np.concatenate([x for x, _ in batches]), self.size, self.channels))
            store.save(split, "y", np.concatenate([y for _, y in batches]))
        return {"classes": self.classes}


def read_files(path: Path, names: list[str]) -> dict[str, bytes]:
    """Return the contents of the named files of a folder or archive, in order.

    An archive is not unpacked to disk: only regular files of these names are read from it, so that paths, links or
    devices in it can do no harm.
    """
    if not path.is_file():
        return {name: (path / name).read_bytes() for name in names}
    try:
        return _read_archive(path, names)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it and download it again.") from error


def _read_archive(path: Path, names: list[str]) -> dict[str, bytes]:
    contents = {}
    with gzip.open(path) as stream, tarfile.TarFile(fileobj=_BoundedReader(stream)) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            is_wanted = name in names and member.isreg() and member.size <= MAX_BYTES
            if is_wanted and (file := archive.extractfile(member)):
                contents[name] = file.read()
    missing = [name for name in names if name not in contents]
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(missing)}. Remove it and download it again.")
    return {name: contents[name] for name in names}


class _BoundedReader(io.BufferedIOBase):
    """A stream that refuses large reads: tarfile reads as many bytes at once as a hostile archive's headers say."""

    def __init__(self, stream: gzip.GzipFile):
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_BYTES:
            raise tarfile.ReadError(f"{size} bytes at once")
        return self.stream.read(size)


def parse_binary_batch(content: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, 3, 32, 32] and int64 [N] from records of one label byte and 3,072 pixel bytes."""
    if not content or len(content) % 3073:
        raise UserError(f"{source} is damaged: {len(content)} bytes are not records of 3,073. Download it again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return _check_arrays(records[:, 1:], records[:, 0], source)


def parse_python_batch(content: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, 3, 32, 32] and int64 [N] from a pickled dict of `data` and `labels`; its code is not run."""
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        data, labels = np.asarray(fields["data"]), np.asarray(fields["labels"])
    except RefusedError as error:
        raise UserError(
            f"{source} refers to {error}, which no CIFAR-10 file needs and which may be malicious. Do not use it."
        ) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{source} is damaged ({type(error).__name__}: {error}). Download it again.") from error
    return _check_arrays(data, labels, source)


def _check_arrays(data: np.ndarray, labels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    if data.ndim != 2 or data.shape[1] != 3072 or data.dtype != np.uint8:
        raise UserError(
            f"{source} is damaged: {data.dtype} data of shape {data.shape}, not uint8 [N, 3072]. Download it again."
        )
    if not len(data) or labels.shape != (len(data),):
        raise UserError(f"{source} is damaged: {len(data)} images, but {labels.size} labels. Download it again.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise UserError(f"{source} is damaged: its labels are not integers from 0 to 9. Download it again.")
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


class RefusedError(Exception):
    pass


_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Callable] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): lambda text, _="latin1": str.encode(text, "latin1"),  # bytes for Python 2
}


class _ArraysOnly(pickle.Unpickler):
    """Loads dicts, lists, numbers, strings and numpy arrays; refuses every other name before it is even imported."""

    def find_class(self, module: str, name: str) -> Callable:
        if (module, name) not in _ALLOWED:
            raise RefusedError(f"{module}.{name}")
        return _ALLOWED[module, name]

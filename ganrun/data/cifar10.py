"""CIFAR-10: Krizhevsky's python batches or binary batches, as a folder or still in their archive."""

import codecs
import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import RESIZE, check_image_format, resize_images
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
LARGEST = 64_000_000  # bytes of one batch file; the real ones have 31 million
EXPECTED = (
    "Expected is one of ROOT/cifar-10-batches-py (torchvision's layout), ROOT/cifar-10-batches-bin, "
    "ROOT/cifar-10-python.tar.gz, ROOT/cifar-10-binary.tar.gz, or the batch files in ROOT itself; "
    "without data.root they are downloaded."
)


class Cifar10(FileSource):
    """50,000 + 10,000 colour pictures, 32x32, of ten classes (Krizhevsky 2009)."""

    name = "cifar10"
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

    def __init__(self, root: str | None, size: int, channels: int):
        check_image_format(size, channels)
        self.root, self.size, self.channels = root, size, channels

    def options(self) -> dict:
        return {"root": str(self.root), "size": self.size, "channels": self.channels, "resize": RESIZE}

    def files(self) -> list[Path]:
        place, names = self._found
        return [place] if place.is_file() else [place / name for name in chain(*names.values())]

    @cached_property
    def _found(self) -> tuple[Path, dict[str, list[str]]]:
        """The folder or archive, and the files in it by split."""
        if self.root is None:
            advice = "Put that file into a folder and name it: data.root=FOLDER."
            return download([URL], MD5, self.name, advice), PYTHON
        root = root_folder(self.root, self.name, EXPECTED)
        for folder, (archive, names) in LAYOUTS.items():
            for place in (root / folder, root):
                if all((place / name).is_file() for name in chain(*names.values())):
                    return place, names
            if (root / archive).is_file():
                return root / archive, names
        raise UserError(f"data.root={self.root} does not hold CIFAR-10. {EXPECTED}")

    def write(self, store: CacheWriter) -> dict:
        place, names = self._found
        parse = parse_python_batch if names is PYTHON else parse_binary_batch
        for split, parts in names.items():
            batches = [parse(content, f"{place}: {name}") for name, content in read_files(place, parts).items()]
            store.save(split, "x", resize_images(np.concatenate([x for x, _ in batches]), self.size, self.channels))
            store.save(split, "y", np.concatenate([y for _, y in batches]))
        return {"classes": self.classes}


def read_files(place: Path, names: list[str]) -> dict[str, bytes]:
    """The named files of a folder or archive, in order.

    An archive is never unpacked to disk: only plain files of these names are read from it, so that no path, link or
    device in it can do anything.
    """
    if not place.is_file():
        return {name: (place / name).read_bytes() for name in names}
    try:
        return _in_archive(place, names)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{place} is damaged ({error}): remove it and download it again.") from error


def _in_archive(place: Path, names: list[str]) -> dict[str, bytes]:
    found = {}
    with gzip.open(place) as stream, tarfile.TarFile(fileobj=_Bounded(stream)) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if name in names and member.isreg() and member.size <= LARGEST:
                found[name] = archive.extractfile(member).read()
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{place} is damaged: it lacks {', '.join(missing)}. Remove it and download it again.")
    return {name: found[name] for name in names}


class _Bounded:
    """The stream without the sizes that a hostile archive's headers can ask for: tarfile reads these as one piece."""

    def __init__(self, stream: gzip.GzipFile):
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST:
            raise tarfile.ReadError(f"{size} bytes in one piece")
        return self.stream.read(size)


def parse_binary_batch(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 3, 32, 32], int64 [N] from records of one label byte and 3,072 pixel bytes."""
    if not content or len(content) % 3073:
        raise UserError(f"{where} is damaged: {len(content)} bytes are not whole records of 3,073. Download it again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return _checked(records[:, 1:], records[:, 0], where)


def parse_python_batch(content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, 3, 32, 32], int64 [N] from a pickled dict of `data` and `labels`; no code in it is run."""
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        data, labels = np.asarray(fields["data"]), np.asarray(fields["labels"])
    except RefusedError as error:
        raise UserError(
            f"{where} is refused: it asks for {error}, which no CIFAR-10 file needs. Do not use it."
        ) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{where} is damaged ({type(error).__name__}: {error}). Download it again.") from error
    return _checked(data, labels, where)


def _checked(data: np.ndarray, labels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    if data.ndim != 2 or data.shape[1] != 3072 or data.dtype != np.uint8:
        raise UserError(
            f"{where} is damaged: {data.dtype} data of shape {data.shape}, not uint8 [N, 3072]. Download it again."
        )
    if not len(data) or labels.shape != (len(data),):
        raise UserError(f"{where} is damaged: {len(data)} pictures, but {labels.size} labels. Download it again.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise UserError(f"{where} is damaged: its labels are not numbers from 0 to 9. Download it again.")
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


class RefusedError(Exception):
    pass


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    return codecs.encode(text, "latin1")


_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Callable] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,  # how Python 3 pickles bytes for Python 2
}


class _ArraysOnly(pickle.Unpickler):
    """Loads dicts, lists, numbers, strings and numpy arrays; refuses every other name before it is even imported."""

    def find_class(self, module: str, name: str) -> Callable:
        if (module, name) not in _ALLOWED:
            raise RefusedError(f"{module}.{name}")
        return _ALLOWED[module, name]

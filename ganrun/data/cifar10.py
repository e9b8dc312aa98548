"""CIFAR-10: Krizhevsky's python or binary batches, in a folder or in their archive."""

import gzip
import io
import pickle
import pickletools
import tarfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ganrun.data.cache import CacheWriter
from ganrun.data.decode import Size, check_image_format, resize_in_blocks
from ganrun.data.download import download
from ganrun.data.roots import root_folder
from ganrun.data.source import FileSource
from ganrun.errors import UserError
from ganrun.files import open_regular, read_bytes

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
MAX_HEADER = 2**16  # bytes of a member's header in an archive
MAX_MEMBERS, MAX_UNPACKED = 1000, 2**29  # of an archive; the real ones have 8 members and 186 million bytes
MAX_OPCODES = 200_000  # of a pickled batch; the real ones have 50,000
MAX_ARRAYS, MAX_IMAGES = 8, 10_000  # in a batch; the real ones have 1 array of 10,000
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
        contents = read_files(path, [*chain(*names.values())])
        batches = {name: parse(content, f"{path}: {name}") for name, content in contents}
        for split, parts in names.items():
            x, y = zip(*(batches.pop(name) for name in parts), strict=True)
            blocks = chain.from_iterable(resize_in_blocks(images, self.size, self.channels) for images in x)
            store.save_blocks(split, "x", sum(map(len, x)), blocks)
            store.save(split, "y", np.concatenate(y))
        return {"classes": self.classes}


def read_files(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each of the named files of a folder or archive.

    An archive is not unpacked to disk: only regular files of these names are read from it, so that paths, links or
    devices in it can do no harm.
    """
    try:
        if path.is_file():
            yield from _read_archive(path, names)
        else:
            for name in names:
                yield name, read_bytes(path / name, MAX_BYTES, follow_links=True)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove it and download it again.") from error


def _read_archive(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    missing = [*names]
    with open_regular(path, follow_links=True) as raw, gzip.open(raw) as packed:
        stream = _BoundedReader(packed)
        for count, member in enumerate(tarfile.TarFile(fileobj=stream)):
            if count > MAX_MEMBERS:
                raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
            name = member.name.rsplit("/", 1)[-1]
            if name in missing and member.isreg() and not member.issparse() and member.size <= MAX_BYTES:
                missing.remove(name)
                yield name, stream.read_member(member)
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(missing)}. Remove it and download it again.")


class _BoundedReader(io.BufferedIOBase):
    """A stream that refuses to be read far or by large parts, as a hostile archive's headers would have it."""

    def __init__(self, stream: gzip.GzipFile):
        self.stream, self.tell = stream, stream.tell

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence or offset > MAX_UNPACKED:
            raise tarfile.ReadError(f"more than {MAX_UNPACKED:,} bytes")
        return self.stream.seek(offset)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)

    def read_member(self, member: tarfile.TarInfo) -> bytes:
        """Return the content of a regular file, and go back to where the stream was."""
        position = self.tell()
        self.seek(member.offset_data)
        content = self.stream.read(member.size)
        self.seek(position)
        return content


def parse_binary_batch(content: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, 3, 32, 32] and int64 [N] from records of one label byte and 3,072 pixel bytes."""
    if not content or len(content) % 3073:
        raise UserError(f"{source} is damaged: {len(content)} bytes are not records of 3,073. Download it again.")
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    return _check_arrays(records[:, 1:], records[:, 0], source)


def parse_python_batch(content: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 [N, 3, 32, 32] and int64 [N] from a pickled dict of `data` and `labels`; its code is not run."""
    try:
        check_opcodes(content)
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in batch.items()}
        data, labels = fields["data"], fields["labels"]
        if isinstance(labels, list) and all(isinstance(label, int) for label in labels):
            labels = np.asarray(labels)
        if not isinstance(data, np.ndarray) or not isinstance(labels, np.ndarray):
            raise ValueError("no array of pixels, or no list of numbers as labels")
    except RefusedError as error:
        raise UserError(
            f"{source} refers to {error}, which no CIFAR-10 file needs and which may be malicious. Do not use it."
        ) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{source} is damaged ({type(error).__name__}: {error}). Download it again.") from error
    return _check_arrays(data, labels, source)


def check_opcodes(content: bytes) -> None:
    """Raise ValueError for a pickle that would keep its reader busy: one of many steps, or of large integers."""
    for count, (opcode, _, _) in enumerate(pickletools.genops(content)):
        if count > MAX_OPCODES or opcode.name.startswith("LONG"):
            raise ValueError("not the pickle of a few arrays")


def _check_arrays(data: np.ndarray, labels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    if data.ndim != 2 or data.shape[1] != 3072 or data.dtype != np.uint8:
        raise UserError(
            f"{source} is damaged: {data.dtype} data of shape {data.shape}, not uint8 [N, 3072]. Download it again."
        )
    if len(data) > MAX_IMAGES:
        raise UserError(f"{source} is damaged: {len(data)} images instead of {MAX_IMAGES:,}. Download it again.")
    if not len(data) or labels.shape != (len(data),):
        raise UserError(f"{source} is damaged: {len(data)} images, but {labels.size} labels. Download it again.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 9:
        raise UserError(f"{source} is damaged: its labels are not integers from 0 to 9. Download it again.")
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


class RefusedError(Exception):
    pass


class _ArraysOnly(pickle.Unpickler):
    """Loads dicts, lists, numbers, strings and numpy arrays; refuses every other name before it is even imported.

    A name stands for a function of this class, which limits how much memory a small file can ask for.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.arrays = self.encoded = 0
        self.allowed: dict[tuple[str, str], Any] = {
            ("numpy.core.multiarray", "_reconstruct"): self.reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): self.reconstruct,
            ("numpy", "ndarray"): None,  # the first argument of _reconstruct
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): self.encode,
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise RefusedError(f"{module}.{name}")
        return self.allowed[module, name]

    def reconstruct(self, *_: Any) -> np.ndarray:
        """Return an empty array, which the next opcode fills."""
        self.arrays += 1
        if self.arrays > MAX_ARRAYS:
            raise ValueError(f"more than {MAX_ARRAYS} arrays")
        return _RECONSTRUCT(np.ndarray, (0,), b"b")

    def encode(self, text: str, _: str = "latin1") -> bytes:
        """Return bytes that Python 2 would have as a string."""
        self.encoded += len(text)
        if self.encoded > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        return text.encode("latin1")


_RECONSTRUCT: Any = np.empty(0).__reduce__()[0]

"""What a file of tensors may ask for: checks of torch's archives and of safetensors files before they are loaded.

torch's `weights_only` runs no code, but a small file can still ask it for terabytes.
"""

import io
import os
import pickletools
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

MAX_DIRECTORY, MAX_ENTRIES = 2**24, 100_000  # bytes and number of an archive's entries, one per tensor
MAX_PICKLE, MAX_OPCODES = 2**27, 1_000_000  # of the pickle in an archive, which names the tensors and holds all else
MAX_ENCODED = 2**28  # bytes that a pickle may make of its texts
MAX_HUGE = 1000  # integers in a pickle that may have the same hash, which would make a dict of them slow
MAX_NODES, MAX_DEPTH = 500_000, 200  # values in a file, each counted as often as it is referred to
MAX_HEADER = 2**22  # bytes of the header of a safetensors file: tens of thousands of tensors
ENCODE = "_codecs encode"  # how a pickle of this kind holds bytes
BYTEARRAYS = ("builtins bytearray", "__builtin__ bytearray")  # of any number of zeros


class TensorFileError(ValueError):
    """A file of tensors is damaged or asks for too much. The message says what is wrong with it."""


class BoundedFile(io.BufferedIOBase):
    """A file that refuses to read a large part at once, as a hostile list of entries would have zipfile do."""

    def __init__(self, file: IO[bytes], limit: int):
        self.seek, self.tell, self.file, self.limit = file.seek, file.tell, file, limit

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        content = self.file.read(self.limit + 1 if size is None or size < 0 else min(size, self.limit + 1))
        if len(content) > self.limit:
            raise zipfile.BadZipFile(f"more than {self.limit:,} bytes at once")
        return content


def check_archive(file: IO[bytes]) -> None:
    """Read an archive of torch.save through, and check its checksums and what loading it asks for.

    Such an archive is not compressed; a small compressed file could fill the memory, as could one of few bytes on the
    disk, or one whose entries share their bytes. Raises TensorFileError, and what zipfile raises for no archive.
    """
    status = os.fstat(file.fileno())
    if status.st_size > 2**27 and getattr(status, "st_blocks", status.st_size) * 512 * 10 < status.st_size:
        raise TensorFileError("most of it is a hole")
    with zipfile.ZipFile(BoundedFile(file, MAX_DIRECTORY)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise TensorFileError(f"it has more than {MAX_ENTRIES:,} entries")
        is_stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if not is_stored or sum(max(entry.file_size, entry.compress_size) for entry in entries) > status.st_size:
            raise TensorFileError("it is compressed")
        if damaged := archive.testzip():
            raise TensorFileError(f"{damaged} in it is damaged")
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                check_pickle(archive, entry)


def check_pickle(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Raise TensorFileError for a pickle that would take long, or makes much of little by the functions it names."""
    if entry.file_size > MAX_PICKLE:
        raise TensorFileError(f"{entry.filename} in it has {entry.file_size:,} bytes")
    calls, memo, named, longest, huge = Counter[str](), {}, "", 0, 0
    for count, (opcode, value, _) in enumerate(pickletools.genops(archive.read(entry))):
        if opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[value] = named
        fetched = memo.get(value, "") if opcode.name in ("BINGET", "LONG_BINGET", "GET") else ""
        named = value if opcode.name == "GLOBAL" else ""
        calls[named or fetched] += 1
        longest = max(longest, len(value)) if isinstance(value, str) else longest
        huge += isinstance(value, int) and abs(value) >= sys.hash_info.modulus
        if count > MAX_OPCODES or huge > MAX_HUGE:
            raise TensorFileError(f"reading {entry.filename} in it would take too long")
    if calls[ENCODE] * longest > MAX_ENCODED or any(calls[name] for name in BYTEARRAYS):
        raise TensorFileError(f"{entry.filename} in it could fill the memory")


def check_extent(content: Any, size: int, open_value: Callable[[Any], Any] = lambda value: value) -> None:
    """Raise TensorFileError for content of a file of `size` bytes that is larger, nested deeply or endless.

    In a pickle, lists may refer to the same list again and again, and tensors to the same few bytes.
    open_value: returns what stands for a value that is not a plain one.
    """
    level, nodes, extent = [content], 0, 0
    for _ in range(MAX_DEPTH):
        level = [*map(open_value, level)]
        extent += sum(tensor_bytes(value) for value in level if isinstance(value, Tensor))
        nodes += len(level)
        level = children_of(level, MAX_NODES - nodes)
        if extent > 2 * size:
            raise TensorFileError("its tensors share their bytes")
        if not level:
            return
    raise TensorFileError(f"it is nested more than {MAX_DEPTH} levels deep")


def children_of(values: Iterable[Any], limit: int) -> list[Any]:
    """Return the values in these dicts, lists, tuples and sets. Raises TensorFileError for more than `limit`."""
    children: list[Any] = []
    for value in values:
        if isinstance(value, dict | list | tuple | set):
            children += value.values() if isinstance(value, dict) else value
            if len(children) > limit:
                raise TensorFileError(f"it holds more than {MAX_NODES:,} values")
    return children


def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes of a tensor. Raises TensorFileError for one of more numbers than its storage holds."""
    if tensor.device.type != "cpu":
        raise TensorFileError(f"a tensor in it is on {tensor.device}")
    if tensor.layout != torch.strided or tensor.is_nested:
        return 0
    count = tensor.numel() * tensor.element_size()
    if count > tensor.untyped_storage().nbytes():
        raise TensorFileError("a tensor in it has more numbers than bytes")
    return count


def check_safetensors(path: Path, limit: int) -> None:
    """Raise TensorFileError for a safetensors file larger than `limit`, or with a header that takes long to read."""
    with path.open("rb") as file:
        size, header = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
    if size > limit or header > MAX_HEADER:
        raise TensorFileError(f"it has {size:,} bytes, {header:,} of them in its header")

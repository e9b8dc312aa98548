"""Writes checkpoints: as a whole and verified, or not at all."""

import errno
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from ganrun.config.renames import update_callback_states
from ganrun.data.tensor_files import check_extent
from ganrun.errors import Failure, ganrun_command, is_full_disk
from ganrun.files import is_unfinished, replacing, sha256_of_file
from ganrun.training.config_stand_in import load_archive, open_stand_in, refused_class
from ganrun.training.plain_types import NotPlainError, from_plain, to_plain

SPARE = 20 * 2**20  # bytes that stay free after a save


class DurableIO(CheckpointIO):
    """Copies Lightning's checkpoints to the host at once and writes them in a thread, one at a time.

    A file gets its name after it was flushed to disk and read back. Then the thread calls `storage_options`, a function
    of the file's SHA-256. Errors in the thread are raised by the next save or by `wait`.
    """

    def __init__(self):
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future | None = None

    def save_checkpoint(
        self, checkpoint: Mapping[str, Any], path: str | Path, storage_options: Callable[[str], None] | None = None
    ) -> None:
        self.wait()
        content = plain_content(checkpoint, Path(path))
        self._pending = self._writer.submit(self._save, content, Path(path), storage_options)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)

    def wait(self) -> None:
        """Wait until the last save is done. Raises its error, if any."""
        pending, self._pending = self._pending, None
        if pending:
            pending.result()

    def teardown(self) -> None:
        self.wait()

    @staticmethod
    def _save(content: dict, path: Path, is_written: Callable[[str], None] | None) -> None:
        digest = write_checkpoint(content, path)
        if is_written:
            is_written(digest)


def read_checkpoint(path: Path, mmap: bool = False) -> dict[str, Any]:
    """Return the content on the CPU, callback states under today's names. Never runs code from the file.

    mmap: leave the tensors in the file until they are used, which must not change meanwhile.
    """
    plain = load_archive(path, mmap)
    check_extent(plain, path.stat().st_size, open_stand_in)
    content = from_plain(plain)
    if isinstance(content, dict) and "callbacks" in content:
        content["callbacks"] = update_callback_states(content["callbacks"])
    return content


def plain_content(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a copy of the content for `write_checkpoint`. Raises Failure for what the loader would refuse."""
    try:
        return to_plain(dict(content))
    except (NotPlainError, RecursionError) as error:
        reason = str(error) if isinstance(error, NotPlainError) else "a state in it contains itself"
        raise save_failure(path, reason, f"After the change: {ganrun_command('resume', path.parent.parent)}") from error


def write_checkpoint(content: Mapping[str, Any], path: Path) -> str:
    """Write a checkpoint as a whole or not at all, and return its SHA-256.

    Raises Failure if the disk is full, or if the loader that a resume will use refuses the file.
    """
    check_free_space(content, path)
    try:
        with replacing(path) as partial:
            torch.save(content, partial)
            fsync_path(partial)
            digest = verify_archive(partial)
            verify_loading(partial, path)
        fsync_path(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        if isinstance(error, RuntimeError) or is_full_disk(error):
            raise full_disk_failure(path, "the disk is full") from error
        raise
    return digest


def check_free_space(content: Mapping[str, Any], path: Path) -> None:
    """Raise Failure if the disk has no room for the content."""
    sizes: list[int] = []
    apply_to_collection(content, Tensor, lambda tensor: sizes.append(tensor.nbytes))
    free, needed = shutil.disk_usage(path.parent).free, sum(sizes) + SPARE
    if free < needed:
        raise full_disk_failure(path, f"it needs {needed / 2**20:.0f} MiB, and {free / 2**20:.0f} MiB are free")


def full_disk_failure(path: Path, reason: str) -> Failure:
    advice = f"Free some space on the disk of {path.parent}, then: {ganrun_command('resume', path.parent.parent)}"
    if is_unfinished(path):  # the first checkpoint of a branch, whose folder is not made yet
        advice = f"Free some space on the disk of {path.parents[2].absolute()}, then give the command again."
    return save_failure(path, reason, advice)


def save_failure(path: Path, reason: str, advice: str) -> Failure:
    return Failure(f"Cannot save {path.name}: {reason}. Earlier checkpoints are intact. {advice}")


def fsync_path(path: Path) -> None:
    """Flush the file, or the folder's list of names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def verify_archive(path: Path) -> str:
    """Return the SHA-256 of an archive of tensors. Raises OSError if a checksum in it is wrong."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise OSError(errno.EIO, f"{damaged} of {path.name} was read back with a wrong checksum")
    return sha256_of_file(path)


def verify_loading(written: Path, path: Path) -> None:
    """Read the new file `written` by the loader that a resume will use. Raises Failure, about `path`, if that fails."""
    try:
        read_checkpoint(written, mmap=True)
    except (pickle.UnpicklingError, TypeError, ValueError, KeyError) as error:
        advice = f"After a change: {ganrun_command('resume', path.parent.parent)}"
        raise save_failure(path, describe_refusal(error), advice) from error


def describe_refusal(error: Exception) -> str:
    """Return why the loader refuses a file; torch's own message suggests to run the code in it."""
    if refused := refused_class(error):
        return f"it holds a {refused}, which is not read, as that would run code"
    return f"it holds what is not read, as that could run code ({str(error).splitlines()[0]})"

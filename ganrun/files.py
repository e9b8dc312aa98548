"""Folders, files and CPUs of this machine; files are opened here where a stranger may have made them."""

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from ganrun.errors import UserError

UNFINISHED = ".unfinished"  # ends the names of what is being built; `.lock` is added for the lock beside it
ABANDONED_SECONDS = 7 * 24 * 3600  # what has no lock counts as abandoned after a week without a change


def conf_dir() -> Path:
    """Return the folder of the configs: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def outputs_dir(*parts: str) -> Path:
    """Return the folder of all outputs, or one in it: $GANRUN_OUTPUTS, else `outputs` in the working folder."""
    return user_path(os.environ.get("GANRUN_OUTPUTS") or "outputs").joinpath(*parts)


def timed_output(*parts: str) -> Path:
    """Return the path of a new output in this folder of outputs: outputs/eval/2026-11-21-120000."""
    return outputs_dir(*parts, time.strftime("%Y-%m-%d-%H%M%S"))


def cache_dir() -> Path:
    """Return the folder of prepared data, downloads and statistics: $GANRUN_CACHE, else ~/.cache/ganrun.

    A user without a home, as in a container with any uid, has a private folder among the temporary ones.
    """
    path = user_path(os.environ.get("GANRUN_CACHE") or "~/.cache/ganrun")
    return path if path.parts[0] != "~" else private_temporary_folder()


def private_temporary_folder() -> Path:
    """Return the temporary folder of this user, and make it. Raises UserError if another user has made it."""
    folder = Path(tempfile.gettempdir(), f"ganrun-{os.getuid()}")
    if not make_own_folder(folder) or folder.lstat().st_mode & 0o022:
        raise UserError(
            f"There is no home folder, and {folder} is another user's. Set the environment variable GANRUN_CACHE to a "
            "folder for prepared data."
        )
    return folder


def make_own_folder(folder: Path) -> bool:
    """Make a folder where all users may write. Return whether it is this user's own, and not a link or another's."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())


def user_path(path: str | Path) -> Path:
    """Return the path with ~ expanded. It stays as it is where there is no such home or user."""
    return Path(os.path.expanduser(path))


def assets_dir() -> Path:
    """Return the folder of the digits and the classifier that come with the package."""
    return Path(__file__).resolve().parent / "assets"


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


class UnsafeFileError(UserError, OSError):
    """A path that is not opened: a link, FIFO, socket or device, or a file that is too large."""

    def __str__(self) -> str:  # not OSError's, which shows error numbers
        return str(self.args[0])


def open_regular(path: str | Path, limit: int | None = None, follow_links: bool = False) -> BinaryIO:
    """Open a regular file for reading; anything else is not even opened.

    limit: largest size in bytes. follow_links: accept a link to a regular file, as in a user's own data set.
    Raises UnsafeFileError, or FileNotFoundError.
    """
    check_regular(path, limit, follow_links)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW))
    return os.fdopen(handle, "rb")


def read_bytes(path: str | Path, limit: int, follow_links: bool = False) -> bytes:
    """Return the content of a regular file of at most `limit` bytes. Raises like `open_regular`."""
    with open_regular(path, limit, follow_links) as file:
        content = file.read(limit + 1)  # files of /proc state a size of 0
    if len(content) > limit:
        raise UnsafeFileError(f"{path} has more than {limit:,} bytes.")
    return content


def read_text(path: str | Path, limit: int, follow_links: bool = False) -> str:
    """Return the text of a regular UTF-8 file of at most `limit` bytes. Raises like `open_regular`, or ValueError."""
    return read_bytes(path, limit, follow_links).decode()


def read_json(path: str | Path, limit: int) -> Any:
    """Return what a JSON file of at most `limit` bytes holds. Raises like `open_regular`, or ValueError if damaged."""
    return parse_json(read_bytes(path, limit))


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds. Raises ValueError if it is damaged."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def find_stray_entry(folder: Path) -> str | None:
    """Say which entry of a folder, at any depth, does not belong there: "FOLDER/a is a link to /b"; None if all do.

    These are links that lead out of the folder, FIFOs, sockets and devices. Opens no file. Raises OSError if a folder
    cannot be listed.
    """
    pending = [root := os.path.realpath(folder)]
    while pending:
        with suppress(FileNotFoundError), os.scandir(pending.pop()) as entries:  # other processes may remove some
            for entry in entries:
                name = f"{folder}{entry.path.removeprefix(root)}"
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if os.path.commonpath([root, target]) != root:
                        return f"{name} is a link to {target}"
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif not entry.is_file(follow_symlinks=False) and os.path.lexists(entry.path):
                    return f"{name} is {kind_of_file(entry.stat(follow_symlinks=False).st_mode)}"
    return None


def check_regular(path: str | Path, limit: int | None = None, follow_links: bool = False) -> None:
    """Raise UnsafeFileError unless the path is a regular file of at most `limit` bytes. Opens nothing."""
    _check_mode(path, os.stat(path, follow_symlinks=follow_links), limit)


def _check_mode(path: str | Path, status: os.stat_result, limit: int | None = None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeFileError(f"{path} is {kind_of_file(status.st_mode)}, not a regular file.")
    if limit is not None and status.st_size > limit:
        raise UnsafeFileError(f"{path} has {status.st_size:,} bytes; at most {limit:,} are read.")


def kind_of_file(mode: int) -> str:
    """Return what a file is, from its st_mode: "a link", "a FIFO", "a device", ..."""
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO"}
    kinds |= {stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def create_file(path: str | Path) -> BinaryIO:
    """Create the file for writing. Whatever has this name, a link above all, is removed first and never written to."""
    Path(path).unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def open_append(path: str | Path) -> BinaryIO:
    """Open a regular file for appending; create it if missing.

    A file with several names (hard links) is copied first, so that only the one in this place changes.
    Raises UnsafeFileError for a link and for anything else that is not a regular file.
    """
    path = Path(path)
    with suppress(FileNotFoundError):
        status = path.lstat()
        _check_mode(path, status)
        if status.st_nlink > 1:
            with replacing(path) as copy:
                shutil.copyfile(path, copy)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "ab")


@contextmanager
def replacing(path: Path, suffix: str = "partial") -> Iterator[Path]:
    """Yield a new empty file beside `path`, which replaces `path` at the end; after an error `path` is unchanged.

    The file is created by us: whatever had its name is removed, so nothing is written through a link.
    suffix: of the temporary file; must differ between processes that may write to `path` at the same time.
    """
    partial = path.with_name(f".{path.name}.{suffix}")
    create_file(partial).close()
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """Write the file as a whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(text.encode())


def to_json(content: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return JSON text. NaN and Inf, which JSON lacks, become null. indent, default: as for json.dumps."""
    try:
        return json.dumps(content, indent=indent, default=default, allow_nan=False)
    except ValueError:
        plain = json.loads(json.dumps(content, default=default), parse_constant=lambda name: None)
        return json.dumps(plain, indent=indent)


def write_json(path: Path, content: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Write the file as a whole or not at all; see `to_json`."""
    replace_text(path, to_json(content, 2, default) + "\n")


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Yield an unused hidden path beside `target`, for a file or folder that is renamed once it is whole.

    What is still there at the end is removed, as is, at the start, what killed processes have left beside `target`.
    A lock beside the path, which the system frees however a process ends, tells one that is killed from one at work.
    """
    from filelock import FileLock  # imports logging and inspect, which `ganrun --help` does without

    remove_abandoned(target.parent)
    name = target.name.encode(errors="ignore")[:100].decode(errors="ignore")
    path = target.with_name(f".{name}.{uuid4().hex[:8]}{UNFINISHED}")
    lock = FileLock(f"{path}.lock")
    try:
        with suppress(OSError):  # a file system without locks: nobody removes what is left there
            lock.acquire()
        yield path
    finally:
        remove_path(path)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left of `building` in this folder."""
    from filelock import FileLock, Timeout

    for path in folder.glob(f".*{UNFINISHED}.lock"):
        with suppress(OSError, Timeout):
            check_regular(path)
            with FileLock(path, timeout=0):
                remove_path(path.with_suffix(""))
                path.unlink()


def remove_unchanged(paths: Iterable[Path]) -> None:
    """Remove those of the files and folders in which nothing has changed for a week."""
    for path in paths:
        with suppress(OSError):
            inside = () if path.is_symlink() else path.rglob("*")
            newest = max(each.lstat().st_mtime for each in (path, *inside))
            if time.time() - newest > ABANDONED_SECONDS:
                remove_path(path)


def remove_path(path: Path) -> None:
    """Remove a file, a link or a folder with its content, as far as possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def is_unfinished(path: Path) -> bool:
    """Return whether the path is, or lies in, a folder that is still being built."""
    return any(part.endswith(UNFINISHED) for part in path.parts)


def cpu_count(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the number of CPUs that this process may use. quota: file with a container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        microseconds, period = map(int, quota.read_text().split())  # "max" instead of a number: no limit
        return max(1, min(count, round(microseconds / period)))
    return count

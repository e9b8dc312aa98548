"""One process at a time in a run folder, and signals to that process alone."""

import json
import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from ganrun.config.json_forms import is_count, is_text, read_form
from ganrun.errors import UserError
from ganrun.files import UnsafeFileError, open_append, open_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".lock"
STOPPED = ".stop"  # says which process was asked to stop: a second signal would end it without saving
PROC = Path("/proc")
MOMENT = 0.3  # seconds to wait for one who only looks whether the folder is locked


class NotOwnerError(UserError):
    """The process that a lock file names does not hold the lock, or cannot be reached from here."""


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises UserError if one is in it.

    The system frees the lock however the process ends. The lock file names its owner, and stays.
    """
    open_append(folder / LOCK_FILE).close()  # refuses a link or FIFO of that name
    lock, owner = FileLock(folder / LOCK_FILE), read_owner(folder)
    try:
        lock.acquire(timeout=MOMENT)
    except Timeout as error:
        use = "in use" + (f" by process {owner['pid']} on {owner['host']}" if owner else "")
        raise UserError(f"{folder} is {use}. Wait until that ends, or stop it; its checkpoints are kept.") from error
    try:
        with suppress(OSError):  # who has just come was never asked to stop, whatever its number
            (folder / STOPPED).unlink()
        (folder / LOCK_FILE).write_text(json.dumps({"host": platform.node(), "pid": os.getpid()}))
        yield
    finally:
        with suppress(OSError):  # the folder is gone
            (folder / LOCK_FILE).write_text("")
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is in the folder, or whether that cannot be known."""
    return is_file_locked(folder / LOCK_FILE)


def is_file_locked(path: Path) -> bool:
    """Return whether a process has locked the file, or whether that cannot be known."""
    try:
        with open_regular(path) as file:
            return is_held(file)
    except (FileNotFoundError, NotADirectoryError, UnsafeFileError):
        return False
    except OSError:
        return True


def is_held(file: BinaryIO) -> bool:
    """Return whether another process has locked the file. Needs no permission to write it."""
    if not fcntl:
        with suppress(Timeout, OSError), FileLock(file.name, timeout=0):
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def terminate_owner(folder: Path) -> bool:
    """Send SIGTERM to the process of this machine that is in the folder; return whether there is one."""
    with suppress(NotOwnerError):
        signal_owner(folder, signal.SIGTERM)
        return True
    return False


def signal_owner(folder: Path, signum: int) -> int:
    """Send a signal to the process that has locked the folder, and return its number.

    Raises NotOwnerError, and sends nothing, unless the process that the lock file names is known to hold the lock.
    """
    owner = read_owner(folder, lowest=1)  # in a container, a training may be the first process
    if not owner or not is_locked(folder):
        raise NotOwnerError(f"It is unknown which process is in {folder}: {LOCK_FILE} there does not say so.")
    if owner["host"] != platform.node():
        raise NotOwnerError(f"{folder} is in use by process {owner['pid']} on {owner['host']}, not on this machine.")
    pid = owner["pid"]
    refusal = NotOwnerError(f"Process {pid}, which {folder / LOCK_FILE} names, is not the one that holds its lock.")
    try:
        with process_handle(pid) as handle:
            if not holds_lock(pid, folder / LOCK_FILE):
                raise refusal
            os.kill(pid, signum) if handle is None else signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError as error:
        raise refusal from error
    except PermissionError as error:
        raise NotOwnerError(f"Process {pid}, which is in {folder}, is another user's.") from error
    return pid


@contextmanager
def process_handle(pid: int) -> Iterator[int | None]:
    """Yield a handle that keeps meaning this process, although its number may be given to another; None without such.

    Raises ProcessLookupError if there is no such process.
    """
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        raise
    except OSError:  # a kernel that has none
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def holds_lock(pid: int, path: Path) -> bool:
    """Return whether the process has locked the file. Raises PermissionError for a process of another user."""
    if not (PROC / "self").exists():  # macOS
        found = subprocess.run(["lsof", "-t", "--", str(path)], capture_output=True, text=True, timeout=60)
        return str(pid) in found.stdout.split()
    file = path.stat()
    try:
        handles = [*(PROC / str(pid) / "fd").iterdir()]
    except FileNotFoundError as error:
        raise ProcessLookupError from error
    for handle in handles:
        with suppress(FileNotFoundError):  # closed meanwhile
            opened = handle.stat()
            is_same = (opened.st_dev, opened.st_ino) == (file.st_dev, file.st_ino)
            if is_same and "FLOCK" in (PROC / str(pid) / "fdinfo" / handle.name).read_text():
                return True
    return False


def has_lost_lock(folder: Path, pid: int | None) -> bool:
    """Return whether this process of this machine has locked a file of the folder that somebody has removed since."""
    lost = f"{os.path.realpath(folder)}/{LOCK_FILE} (deleted)"
    with suppress(OSError):
        return any(os.readlink(handle) == lost for handle in (PROC / str(pid) / "fd").iterdir())
    return False


def read_owner(folder: Path, lowest: int = 2) -> dict:
    """Return the host and pid of the process in the folder; {} if they are unknown, or the pid is below `lowest`."""
    form = {"host": is_text, "pid": lambda pid: is_count(pid) and pid >= lowest}
    try:
        owner = read_form(folder / LOCK_FILE, 1000, form)
        return {"host": owner["host"], "pid": owner["pid"]}
    except (OSError, ValueError, KeyError):
        return {}

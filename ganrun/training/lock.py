"""One process at a time in a run folder."""

import json
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ganrun.config.json_forms import is_count, is_text, read_form
from ganrun.errors import UserError
from ganrun.files import check_regular, open_append

LOCK_FILE = ".lock"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises UserError if one is in it.

    The system frees the lock however the process ends. The lock file names its owner, and stays.
    """
    open_append(folder / LOCK_FILE).close()  # refuses a link or FIFO of that name
    lock, owner = FileLock(folder / LOCK_FILE), read_owner(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        use = "in use" + (f" by process {owner['pid']} on {owner['host']}" if owner else "")
        raise UserError(f"{folder} is {use}. Wait until that ends, or stop it; its checkpoints are kept.") from error
    try:
        (folder / LOCK_FILE).write_text(json.dumps({"host": platform.node(), "pid": os.getpid()}))
        yield
    finally:
        with suppress(OSError):  # the folder is gone
            (folder / LOCK_FILE).write_text("")
        lock.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process is in the folder."""
    try:
        check_regular(folder / LOCK_FILE)
    except OSError:
        return False
    try:
        with FileLock(folder / LOCK_FILE, timeout=0):
            return False
    except (Timeout, OSError):
        return True


def terminate_owner(folder: Path) -> bool:
    """Send SIGTERM to the process of this machine that is in the folder; return whether there is one."""
    owner = read_owner(folder)
    if owner and owner["host"] == platform.node() and is_locked(folder):
        with suppress(OSError):
            os.kill(owner["pid"], signal.SIGTERM)
            return True
    return False


def read_owner(folder: Path) -> dict:
    """Return the host and pid of the process in the folder; {} if they are unknown."""
    try:
        owner = read_form(folder / LOCK_FILE, 1000, {"host": is_text, "pid": lambda pid: is_count(pid) and pid > 1})
        return {"host": owner["host"], "pid": owner["pid"]}
    except (OSError, ValueError, KeyError):
        return {}

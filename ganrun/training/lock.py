"""One process at a time in a run folder."""

import json
import os
import platform
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganrun.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK_FILE = ".lock"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keeps other processes out of the folder. Raises UserError when one is in it.

    The system's lock (flock) goes with the process however that ends; the file tells others who holds it, and stays.
    """
    with open(folder / LOCK_FILE, "a+") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(
                    f"{folder} is in use{describe_owner(folder)}. Wait for it to end, or stop it; "
                    "what it has saved stays."
                ) from error
        file.truncate(0)
        file.write(json.dumps({"host": platform.node(), "pid": os.getpid()}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def is_locked(folder: Path) -> bool:
    """Whether a process is in the folder now."""
    if not fcntl or not (folder / LOCK_FILE).exists():
        return False
    with open(folder / LOCK_FILE, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def describe_owner(folder: Path) -> str:
    """Who holds the folder, in words: " by process 12 on host"; "" where that is not told."""
    found = read_owner(folder)
    return f" by process {found['pid']} on {found['host']}" if found else ""


def terminate_owner(folder: Path) -> bool:
    """Sends SIGTERM to the process of this machine that holds the folder; whether there is one."""
    found = read_owner(folder)
    if found and found["host"] == platform.node() and is_locked(folder):
        with suppress(OSError):
            os.kill(found["pid"], signal.SIGTERM)
            return True
    return False


def read_owner(folder: Path) -> dict:
    """Host and pid of whoever holds the folder; nothing where that is not told."""
    try:
        found = json.loads((folder / LOCK_FILE).read_text())
        return {"host": found["host"], "pid": int(found["pid"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}

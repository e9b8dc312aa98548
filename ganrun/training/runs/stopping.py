"""Ending a training: SIGTERM to the process that holds the lock of its folder, once."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from ganrun.config.json_forms import is_count, read_form
from ganrun.files import create_file
from ganrun.training.lock import STOPPED, is_locked, read_owner, signal_owner


def ask_to_stop(folder: Path, now: bool = False) -> tuple[int, bool]:
    """Send SIGTERM to the process that trains in the folder. Return its number, and whether this is the first time.

    A process that was asked before is asked again only with now=True, which ends it at once.
    Raises NotOwnerError, and sends nothing, if it is not certain which process that is.
    """
    pid = read_owner(folder, lowest=1).get("pid")  # as `signal_owner`
    is_first = pid is None or pid != stopped_process(folder)
    if is_first or now:
        pid = signal_owner(folder, signal.SIGTERM)
        with suppress(OSError), create_file(folder / STOPPED) as file:
            file.write(json.dumps({"pid": pid}).encode())
    return pid or 0, is_first


def stopped_process(folder: Path) -> int | None:
    """Return the process that was asked to stop, and has not ended since."""
    with suppress(OSError, ValueError, KeyError):
        return read_form(folder / STOPPED, 1000, {"pid": is_count})["pid"]
    return None


def wait_for_end(folder: Path, limit: float) -> bool:
    """Wait until no process is in the folder, at most so many seconds. Return whether it has ended."""
    deadline = time.monotonic() + limit
    while is_locked(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    with suppress(OSError):
        os.unlink(folder / STOPPED)
    return True

"""Asking a training for a checkpoint: a file in the run folder, which the training finds and answers.

A file, not a signal: it works on a disk that machines share and cannot end a process by mistake.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from ganrun.errors import UserError
from ganrun.files import create_file

REQUEST, TAKEN = ".save", ".saving"  # the file, before and after the training has taken the state to save
PAUSE = 1.0  # seconds between two looks


class SaveRequests:
    """The requests that a training gets. Looks at the disk once a second; in between, a look costs a clock reading."""

    def __init__(self, folder: Path):
        self.request, self.taken, self.next_look = str(folder / REQUEST), str(folder / TAKEN), 0.0

    def is_waiting(self) -> bool:
        """Return whether a checkpoint is asked for."""
        now = time.monotonic()
        if now < self.next_look:
            return False
        self.next_look = now + PAUSE
        return os.path.lexists(self.request)

    def take(self) -> None:
        """Note that the state is taken: who asks from now on wants a later one."""
        with suppress(OSError):
            os.replace(self.request, self.taken)

    def answer(self) -> None:
        """Tell who has asked that the checkpoint is on disk."""
        with suppress(OSError):
            os.unlink(self.taken)


def request_save(folder: Path) -> None:
    """Ask the training in the folder for a checkpoint. UserError if the folder cannot be written."""
    try:
        create_file(folder / REQUEST).close()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}), so its run cannot be asked to save."
        ) from error


def is_answered(folder: Path) -> bool:
    """Return whether the checkpoint that was asked for is on disk."""
    return not any(os.path.lexists(folder / name) for name in (REQUEST, TAKEN))


def withdraw_request(folder: Path) -> None:
    """Ask no more."""
    with suppress(OSError):
        (folder / REQUEST).unlink(missing_ok=True)

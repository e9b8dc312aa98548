"""The journal file of a study, which several processes write and any of which may be killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganrun.errors import UserError
from ganrun.files import check_regular, open_append
from ganrun.sweep.state import flock

MAX_BYTES = 2**26  # tens of thousands of points


def open_journal(path: Path) -> Any:
    """Return Optuna's storage in this file, which is made if it is missing.

    Raises UserError for a link, for anything else but a regular file, and for a huge one.
    """
    open_append(path).close()
    check_regular(path, MAX_BYTES)

    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))  # pyright: ignore  # as it is used


@contextmanager
def translate_journal_errors(path: Path) -> Iterator[None]:
    """Turn the errors that the content of a journal may cause, whatever it is, into a UserError."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be used ({type(error).__name__}: {error}). Start again with sweep.fresh=true."
        ) from error


class JournalLock:
    """Lets one process at a time append to the journal; the system frees it however that process ends.

    Optuna's own locks are files: one that a killed process leaves stops the others for half a minute, and if the path
    is a relative one for ever.
    """

    def __init__(self, journal: Path):
        self.journal, self.path = journal, journal.with_name(f".{journal.name}.lock")

    def acquire(self) -> bool:
        self.file = open_append(self.path)
        flock(self.file)
        drop_truncated_line(self.journal)
        return True

    def release(self) -> None:
        self.file.close()


def drop_truncated_line(path: Path) -> None:
    """Remove an entry at the end of a journal of which a process that was killed wrote only the beginning."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)

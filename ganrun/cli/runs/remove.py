"""Removing runs, after a question."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ganrun.cli.runs.table import format_runs, terminal_width
from ganrun.errors import Failure, UserError, print_error, print_text, printable
from ganrun.terminal import round_bytes
from ganrun.training.runs.overview import RunOverview
from ganrun.training.runs.removal import remove_run


def remove_after_question(runs: Sequence[RunOverview], command: str, is_agreed: bool, takes_all: bool = False) -> int:
    """List the runs, ask whether to remove them, and do so. Return the exit code.

    command: that removes them without a question.  is_agreed: do not ask.
    Raises UserError if there is no terminal to ask in, and Failure if some of them could not be removed.
    """
    print_text(format_runs(runs, terminal_width()))
    size, many = round_bytes(sum(run.disk.total for run in runs)), f"{len(runs)} run{'s' * (len(runs) != 1)}"
    if not is_agreed and not ask(f"Remove {many} ({size}) for good? [y/N] ", command):
        print_text("Nothing was removed.\n")
        return 1
    removed = [run for run in runs if remove_or_report(run.folder, takes_all)]
    total = round_bytes(sum(run.disk.total for run in removed))
    print_text(f"Removed {len(removed)} run{'s' * (len(removed) != 1)}, {total}.\n")
    if len(removed) < len(runs):
        raise Failure(f"{len(runs) - len(removed)} of {many} could not be removed.")
    return 0


def ask(question: str, command: str) -> bool:
    """Return whether the user says yes. Raises UserError, with the command that does not ask, without a terminal."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(f"This asks first, and there is no terminal to ask in. To remove them: {command}")
    print_text(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def remove_or_report(folder: Path, takes_all: bool) -> bool:
    """Remove a run and return True, or say why it could not be removed."""
    try:
        remove_run(folder, takes_all)
        return True
    except (UserError, OSError) as error:
        print_error(printable(error))
        return False

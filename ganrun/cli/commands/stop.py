"""ganrun stop: ends a running training, which saves its state first."""

import platform
from collections.abc import Sequence
from pathlib import Path

from ganrun.cli.arguments import is_set
from ganrun.cli.runs.live import check_running, resume_advice, seconds_of, take_run
from ganrun.errors import Failure, UserError, ganrun_command, print_text
from ganrun.terminal import configure_logging
from ganrun.training.lock import read_owner
from ganrun.training.run_folder import read_status
from ganrun.training.runs.stopping import ask_to_stop, wait_for_end

LIMIT = 300.0  # seconds


def main(args: Sequence[str]) -> int:
    """Send SIGTERM to the process of a run, wait until it has ended, and say how. Settings: limit= seconds, now=."""
    configure_logging()
    folder, settings = take_run("stop", args, ("limit", "now"))
    limit, now = seconds_of(settings, LIMIT), is_set(settings, "now")
    check_running(folder)
    host = read_owner(folder).get("host") or read_status(folder).get("host")
    if host not in (None, platform.node()):
        raise UserError(f"{folder} runs on {host}. Stop it there: {ganrun_command('stop', folder.absolute())}")
    pid, is_first = ask_to_stop(folder, now)
    asked = "was asked to stop before" if not is_first and not now else "got SIGTERM"
    how = "it ends after its batch, and saves" if is_first or not now else "it ends at once"
    print_text(f"Process {pid} of {folder} {asked}; {how}.\n")
    if not wait_for_end(folder, limit):
        raise Failure(
            f"{folder} has not ended within {limit:g} s, and may still do so. To wait longer: "
            f"{ganrun_command('stop', folder)}. To end it at once, without saving: "
            f"{ganrun_command('stop', folder, 'now=true')}"
        )
    print_text(describe_end(folder))
    return 0


def describe_end(folder: Path) -> str:
    """Return how a run has ended, and the command that goes on."""
    status = read_status(folder)
    state, kimg = status.get("state"), status.get("kimg", 0.0)
    if state is None:
        return f"{folder} has ended before its training began.\n"
    if state == "running":
        return f"{folder} has ended without saving; earlier checkpoints are intact. {resume_advice(folder)}\n"
    advice = "" if state == "done" else f". {resume_advice(folder)}"
    return f"{folder} has ended: {state}, after {kimg:g} kimg{advice}\n"

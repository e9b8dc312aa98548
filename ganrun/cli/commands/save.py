"""ganrun save: has a running training save a checkpoint now, and prints its path."""

import time
from collections.abc import Sequence
from pathlib import Path

from ganrun.cli.runs.live import check_running, seconds_of, take_run
from ganrun.errors import Failure, UserError, ganrun_command, print_text
from ganrun.terminal import configure_logging, log
from ganrun.training.lock import is_locked
from ganrun.training.manifest import Manifest
from ganrun.training.runs.save_request import is_answered, request_save, withdraw_request
from ganrun.training.runs.states import RunState

LIMIT = 600.0  # seconds: a scoring may take that long


def main(args: Sequence[str]) -> int:
    """Ask the training for a checkpoint, and wait until it is on disk. Settings: limit= seconds."""
    configure_logging()
    folder, settings = take_run("save", args, ("limit",), uses_registry=True)
    limit, is_here = seconds_of(settings, LIMIT), check_running(folder) == RunState.RUNNING
    before = Manifest.read(folder / "checkpoints")
    request_save(folder)
    log.info("asking %s for a checkpoint, which it saves after its batch", folder)
    try:
        if not wait_for_answer(folder, limit, is_here, before):
            raise Failure(
                f"{folder} has not saved within {limit:g} s. It may be scoring, or be of an earlier version. To wait "
                f"longer: {ganrun_command('save', folder, f'limit={2 * limit + 1:g}')}"
            )
    finally:
        withdraw_request(folder)
    print_text(f"{newest_checkpoint(folder)}\n")
    log.info("it stays until two later ones are saved; copy it to keep it")
    return 0


def wait_for_answer(folder: Path, limit: float, is_here: bool, before: Manifest) -> bool:
    """Return whether a checkpoint is saved within so many seconds. Raises Failure if the training ends before.

    is_here: it runs on this machine, where its lock tells whether it has ended.  before: the manifest when it was
    asked. A request that is gone and has changed nothing was withdrawn by another who asked: it is made again.
    """
    deadline = time.monotonic() + limit
    while True:
        is_live = not is_here or is_locked(folder)
        if is_answered(folder):
            if Manifest.read(folder / "checkpoints") != before:
                return True
            request_save(folder)
        if not is_live:
            raise Failure(f"{folder} has ended meanwhile. {ganrun_command('status', folder)} says how.")
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


def newest_checkpoint(folder: Path) -> Path:
    """Return the checkpoint that was saved last. Raises UserError if the manifest cannot be read."""
    name = Manifest.read(folder / "checkpoints").last
    if name is None:
        raise UserError(f"{folder / 'checkpoints'} has no manifest, so its newest checkpoint is unknown.")
    return folder / "checkpoints" / name

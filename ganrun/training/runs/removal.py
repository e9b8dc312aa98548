"""Removing run folders: only what ganrun has written, and never the folder of a run that lives."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ganrun.errors import Failure, UserError, ganrun_command
from ganrun.files import building, user_path
from ganrun.training.lock import LOCK_FILE, exclusive_lock, is_file_locked, is_locked
from ganrun.training.run_folder import read_status
from ganrun.training.runs.find import is_run
from ganrun.training.runs.states import RunState, observe_state

OWN_ENTRIES = re.compile(  # what ganrun, its loggers and callbacks write into a run folder
    r"config\.yaml|status\.json|metrics\.(jsonl|csv)|hparams\.yaml|train\.log|tags\.json|checkpoints|samples|profile"
    r"|(path|directions)\.png"  # of `latent_pictures`
    r"|events\.out\.tfevents\..*|wandb|quiz.*|\.(lock|save|saving|stop)|\..*\.partial"
)


def check_removable(folder: Path, takes_all: bool = False) -> None:
    """Raise UserError unless the folder is that of a run which may be removed.

    takes_all: also one with files that ganrun has not written.
    """
    if os.path.islink(folder):
        raise UserError(f"{folder} is a link to {os.path.realpath(folder)}. Name that folder, or remove the link.")
    if not folder.is_dir() or not is_run({*os.listdir(folder)}):
        raise UserError(f"{folder} is not a run folder, so it stays.")
    status = read_status(folder)
    state = observe_state(folder, status)
    if state == RunState.RUNNING:
        raise UserError(f"{folder} is running. Stop it first: {ganrun_command('stop', folder)}")
    if state == RunState.ELSEWHERE:
        raise UserError(
            f"{folder} says that it runs on {status.get('host')}, and was written to within the last day. Stop it "
            "there. If it has ended there, remove the folder yourself."
        )
    if is_in_live_sweep(folder):
        raise UserError(f"{folder} belongs to a sweep that is running. Wait until the sweep ends, or stop it.")
    check_contents_are_own(folder, takes_all)


def check_contents_are_own(folder: Path, takes_all: bool) -> None:
    """Raise UserError for a folder whose content is not all a run's, or that somebody works in."""
    if any(place.resolve().is_relative_to(folder.resolve()) for place in (Path(), user_path("~"))):
        raise UserError(f"{folder} holds the working folder or the home folder, so it stays.")
    foreign = foreign_entries(folder)
    if foreign and not takes_all:
        names = ", ".join(foreign[:5]) + (f" and {len(foreign) - 5} more" if len(foreign) > 5 else "")
        command = ganrun_command("runs", "rm", folder, "all=true")
        raise UserError(f"{folder} holds what ganrun has not written: {names}. Move it away, or: {command}")
    if locked := next(iterate_locked_below(folder), None):
        raise UserError(f"{locked} is running, and lies in {folder}. Stop it first: {ganrun_command('stop', locked)}")
    for path in (folder.absolute().parent, *(Path(root) for root, _, _ in os.walk(folder))):
        if not os.access(path, os.W_OK | os.X_OK):
            raise UserError(f"{path} is not writable for you, so {folder} cannot be removed.")


def foreign_entries(folder: Path) -> list[str]:
    """Return the names in a run folder that ganrun does not write. NAME.png is an enlarged samples/NAME-kimgN.png."""
    samples = os.listdir(folder / "samples") if (folder / "samples").is_dir() else []
    enlarged = {f"{name.rpartition('-kimg')[0]}.png" for name in samples if "-kimg" in name}
    return sorted(name for name in {*os.listdir(folder)} - enlarged if not OWN_ENTRIES.fullmatch(name))


def iterate_locked_below(folder: Path) -> Iterator[Path]:
    """Yield the folders in this one that a process has locked."""
    for root, _, names in os.walk(folder):
        if LOCK_FILE in names and Path(root) != folder and is_locked(Path(root)):
            yield Path(root)


def is_in_live_sweep(folder: Path) -> bool:
    """Return whether a process works on the sweep whose job this run is."""
    runners = folder.absolute().parent / ".runners"
    try:
        paths = [path for path in runners.iterdir() if path.is_file() and not path.is_symlink()]
    except OSError:
        return False
    return any(is_file_locked(path) for path in paths)


def remove_run(folder: Path, takes_all: bool = False) -> None:
    """Remove a run folder, as a whole. Links in it are removed, and what they lead to stays.

    The folder gets a hidden name first: what a killed process leaves is no run, and is removed by the next command
    that writes beside it. Raises UserError as `check_removable` does, and Failure if something could not be removed.
    """
    check_removable(folder, takes_all)
    with building(folder) as hidden, exclusive_lock(folder):
        folder.rename(hidden)
    if os.path.lexists(hidden):
        raise Failure(f"{folder} could not be removed wholly. The rest is in {hidden}.")

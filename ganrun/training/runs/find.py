"""Finding runs: by what a user calls them, and below a folder. Needs no torch."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ganrun.errors import UserError, ganrun_command
from ganrun.files import is_unfinished, outputs_dir, user_path
from ganrun.training.lock import LOCK_FILE
from ganrun.training.run_folder import STATUS
from ganrun.training.runs.registry import newest_known_run

log = logging.getLogger(__name__)
INSIDE_RUNS = (
    "checkpoints",
    "samples",
    "profile",
    "wandb",
    "quiz",
)  # folders of a run, in which no runs are looked for


def resolve_run(run: str, marker: str, uses_registry: bool = False) -> Path:
    """Return the path that a user names; "last" is the run folder in outputs/ with the newest `marker`.

    marker: a file of each run. In a copy that lacks it, the newest checkpoint counts.
    uses_registry: if there is no run in outputs/, "last" is the newest run that the registry knows, with a warning.
    """
    if "://" in run:
        raise UserError(f"{run} is a URL. Download the file, if you trust its source, and give its path.")
    if run != "last" or Path(run).exists():
        return user_path(run)
    if folder := newest_run_below(outputs_dir(), marker):
        return folder
    if uses_registry and (known := newest_known_run(marker)):
        log.warning("There is no run in %s; last is the newest one known on this machine: %s", outputs_dir(), known)
        return known
    raise UserError(f"There is no run in {outputs_dir().absolute()} yet. Start one: ganrun train")


def newest_run_below(outputs: Path, marker: str) -> Path | None:
    """Return the run folder whose `marker`, or without one, whose newest checkpoint was changed last."""
    folders = {path: path.parents[marker.count("/")] for path in outputs.glob(f"**/{marker}")}
    for path in outputs.glob("**/checkpoints/*.ckpt"):
        if not (path.parents[1] / marker).exists():
            folders[path] = path.parents[1]
    folders = {path: folder for path, folder in folders.items() if not is_unfinished(folder)}
    return folders[max(folders, key=lambda path: path.lstat().st_mtime)] if folders else None


def find_run_folder(run: str, uses_registry: bool = False) -> Path:
    """Return the run folder that a user names: itself, a checkpoint in it, or last. Raises UserError if it is none."""
    path = resolve_run(run, STATUS, uses_registry)
    folder = path.parent if path.suffix == ".ckpt" and not path.is_dir() else path
    folder = folder.parent if folder.name == "checkpoints" else folder
    try:
        names = {*os.listdir(folder)}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist. {ganrun_command('runs')} lists the runs.") from error
    except NotADirectoryError:
        names = set()
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}.") from error
    if "sweep.json" in names:
        raise UserError(f"{folder} is a sweep, whose jobs are runs: {ganrun_command('runs', folder)}")
    if not is_run(names):
        raise UserError(f"{folder} is not a run folder. {ganrun_command('runs')} lists the runs.")
    return folder


def is_run(names: set[str]) -> bool:
    """Return whether a folder with entries of these names is a run folder, be it damaged or not begun."""
    return STATUS in names or ("config.yaml" in names and bool({LOCK_FILE, "checkpoints", "metrics.jsonl"} & names))


def iterate_run_folders(root: Path, unreadable: list[OSError] | None = None) -> Iterator[Path]:
    """Yield the run folders in a folder, at any depth, itself included.

    Links to folders are followed, each real folder once, but none that is in a run: a stranger may have put it there.
    unreadable: gets the errors of the folders that cannot be listed.
    """
    pending, seen = [(root, False)], set[tuple[int, int]]()
    while pending:
        folder, in_run = pending.pop()
        try:
            names, below = list_folder(folder, seen)
        except OSError as error:
            (unreadable if unreadable is not None else []).append(error)
            continue
        if in_run := in_run | is_run(names):
            below = {name: is_link for name, is_link in below.items() if not is_link and name not in INSIDE_RUNS}
        pending += [(folder / name, in_run) for name in sorted(below, reverse=True)]
        if is_run(names):
            yield folder


def list_folder(folder: Path, seen: set[tuple[int, int]]) -> tuple[set[str], dict[str, bool]]:
    """Return the names in a folder, and {name: whether it is a link} of the folders in it; nothing if it was seen.

    Hidden folders, and those that are still being built, are left out. Raises OSError if it cannot be listed.
    """
    names, below = set[str](), dict[str, bool]()
    status = os.stat(folder)
    if (key := (status.st_dev, status.st_ino)) in seen:
        return names, below
    seen.add(key)
    with os.scandir(folder) as entries:
        for entry in entries:
            names.add(entry.name)
            with suppress(OSError):
                if not entry.name.startswith(".") and entry.is_dir():
                    below[entry.name] = entry.is_symlink()
    return names, {name: is_link for name, is_link in below.items() if not is_unfinished(Path(name))}

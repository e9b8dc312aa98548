"""The command that Hydra is running, and the state of the process while it does."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


@dataclass
class CommandContext:
    """One command, from the start of Hydra to its exit code."""

    flags: Mapping[str, str]  # the keys are the long names
    overrides: Sequence[str]  # as given to Hydra
    trust: bool | None = None  # None if the user typed them, else whether the user trusts what an earlier command saved
    outcomes: list[tuple[str, int]] = field(default_factory=list)  # (job name or "", exit code) of each finished job
    new_folders: list[Path] = field(default_factory=list)  # the new sweep folder and its new parents


_CURRENT: ContextVar[CommandContext] = ContextVar("current ganrun command")


def current_command() -> CommandContext:
    """Return the context of the command that Hydra is running. LookupError if there is none.

    Only for GanrunSweeper and SweepFolder, which Hydra itself builds. Other code gets the context as an argument.
    """
    return _CURRENT.get()


@contextmanager
def activate(context: CommandContext, args: Sequence[str]) -> Iterator[None]:
    """Prepare the process for Hydra, which reads `args` from sys.argv, and make `context` the current command.

    In this block Hydra raises its errors instead of printing them, and no Python that is started searches the working
    folder for modules, which may be a stranger's (since Python 3.11).
    Afterwards the process is as it was before, so commands can be nested. A new sweep folder without jobs is removed.
    """
    token = _CURRENT.set(context)
    try:
        with restored_process("HYDRA_FULL_ERROR", "PYTHONSAFEPATH"):
            sys.argv = [sys.argv[0], *args]
            os.environ |= {"HYDRA_FULL_ERROR": "1", "PYTHONSAFEPATH": "1"}
            yield
    finally:
        _CURRENT.reset(token)
        new = context.new_folders
        if new and new[0].is_dir() and {path.name for path in new[0].iterdir()} <= {"multirun.yaml"}:
            remove_folders(new)


@contextmanager
def restored_process(*variables: str) -> Iterator[None]:
    """Restore sys.argv, sys.path and these environment variables at the end of the block."""
    argv, path, environment = sys.argv, sys.path, {name: os.environ.get(name) for name in variables}
    try:
        yield
    finally:
        sys.argv, sys.path = argv, path
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class SweepFolder(Callback):
    """Notes which folders Hydra is about to create for a sweep."""

    def on_multirun_start(self, config: DictConfig, **_) -> None:
        with suppress(OmegaConfBaseException):  # Hydra itself reports an invalid name
            current_command().new_folders = missing_folders(Path(config.hydra.sweep.dir))


def missing_folders(folder: Path) -> list[Path]:
    """Return the folder and its parents that do not exist, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_folders(new: Sequence[Path]) -> None:
    """Remove the first folder with its content, then each of its parents in the list that is empty."""
    shutil.rmtree(new[0])
    for path in new[1:]:
        if not any(path.iterdir()):
            path.rmdir()

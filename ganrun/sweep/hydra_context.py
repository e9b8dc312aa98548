"""The folders of a sweep and of its jobs."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

flags: dict[str, str] = {}  # of the command that sweeps
words: list[str] = []  # and its settings
outcomes: list[tuple[str, int]] = []  # name and exit code of each job that ganrun's own sweeper has run
opened: dict[
    Path, list[Path]
] = {}  # folder of a sweep under way: those of it and its parents that were not there before


class SweepFolder(Callback):
    """Notes the folder that Hydra is about to make, so that `remove_empty` finds it if all jobs are refused."""

    def on_multirun_start(self, config: DictConfig, **_) -> None:
        with suppress(OmegaConfBaseException):  # Hydra itself says what is wrong with the name
            folder = Path(config.hydra.sweep.dir)
            opened[folder] = missing_folders(folder)


def remove_empty_sweeps() -> None:
    """Removes a new sweep's folder if it holds nothing but Hydra's multirun.yaml, and the parents made for it."""
    while opened:
        folder, new = opened.popitem()
        if folder in new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {"multirun.yaml"}:
            remove_folders(new)


def missing_folders(folder: Path) -> list[Path]:
    """The folder and its parents, from the inside, as far as they are not there."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_folders(new: Sequence[Path]) -> None:
    """Removes a new folder, the first of these, with all in it, and the parents that were made for it and are empty."""
    shutil.rmtree(new[0])
    for path in new[1:]:
        if not any(path.iterdir()):
            path.rmdir()

"""A run folder: what it holds beside checkpoints, and how it is written."""

import json
import logging
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import Failure, UserError, is_full_disk

log = logging.getLogger(__name__)
PACKAGES = ("ganrun", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
MIN_FREE = 200 * 2**20  # bytes
STATUS = "status.json"


def check_writable(folder: Path) -> Path:
    """The nearest folder above `folder` that exists. UserError where it cannot be written or little is free."""
    above = next(parent for parent in [folder, *folder.parents] if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"{above} cannot be written to, so {folder} cannot be made. Give another folder=.")
    free = shutil.disk_usage(above).free
    if free < MIN_FREE:
        raise UserError(
            f"{free / 2**20:.0f} MiB are free at {above}; a run needs {MIN_FREE / 2**20:.0f} MiB or more. "
            "Free some, or give a folder= on another disk."
        )
    return above


def make_run_folder(folder: Path, key: str = "folder") -> Path:
    """Makes the folder of a run, which must be new; a second start within one second gets a number behind it.

    key: the setting that names it.
    """
    check_writable(folder.absolute())
    for name in [folder.name, *(f"{folder.name}-{n}" for n in range(2, 100))]:
        try:
            (folder.parent / name).mkdir(parents=True)
            return folder.parent / name
        except FileExistsError:
            if not re.search(r"\d{6}$", folder.name):  # not a time: somebody's own name
                raise UserError(f"{folder} is there already. Give a new {key}=, or leave it out.") from None
        except OSError as error:
            raise UserError(f"{folder} cannot be made: {error.strerror}. Give another {key}=.") from error
    raise UserError(f"{folder} is there already. Give a new {key}=.")


@contextmanager
def log_to_file(folder: Path) -> Iterator[None]:
    """ganrun's messages go to train.log, too."""
    handler = logging.FileHandler(folder / "train.log")
    handler.handleError = lambda _: None  # where the disk is full, the run itself says so
    logging.getLogger("ganrun").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("ganrun").removeHandler(handler)
        handler.close()


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turns the system's word for a full disk, whatever was to be written, into a Failure that tells the way on."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise Failure(
            f"The disk of {folder} is full. Earlier checkpoints are intact. Free some space, then: "
            f"ganrun resume {folder}"
        ) from error


def package_versions() -> dict[str, str]:
    """Of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def git_commit() -> str | None:
    """The git commit of the working folder, None where there is none."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip() or None
    except (OSError, subprocess.TimeoutExpired):
        return None


def read_status(folder: Path) -> dict[str, Any]:
    """What status.json of a run folder tells; {} where it tells nothing."""
    try:
        return json.loads((folder / STATUS).read_text())
    except (OSError, ValueError):
        return {}


def read_config(folder: Path) -> DictConfig:
    """Return the config of a run, which the caller must not change. Raises OSError or YAMLError if there is none."""
    path = folder / "config.yaml"
    return _load_config(path, path.stat().st_mtime_ns)


@lru_cache(4096)
def _load_config(path: Path, _modified: int) -> DictConfig:
    return DictConfig(OmegaConf.load(path))

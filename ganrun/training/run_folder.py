"""A run folder: making it, its log, and what its files say."""

import errno
import io
import logging
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from traceback import format_exception
from typing import Any, cast

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganrun.config.interpolations import check_size, fill_in_keys, without_resolvers
from ganrun.config.json_forms import (
    find_wrong_entry,
    is_amount,
    is_count,
    is_shallow,
    is_text,
    is_thread_count,
    nan_for_null,
    optional,
    read_form,
)
from ganrun.config.renames import iterate_values
from ganrun.config.saved_yaml import MAX_BYTES, parse_saved_config
from ganrun.errors import Failure, Interrupted, UntrustedError, UserError, ganrun_command, is_full_disk, printable
from ganrun.files import building, find_stray_entry, open_append, read_text
from ganrun.terminal import LogFormatter

log = logging.getLogger(__name__)
PACKAGES = ("ganrun", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
MIN_FREE = 200 * 2**20  # bytes
STATUS = "status.json"
MAX_STATUS = 2**20  # bytes
SCORES = {str: is_shallow}  # a user's own may be other things than numbers
STATUS_FORM = {
    **{"threads": is_thread_count, "precision": is_text},
    **{"state": is_text, "host": is_text, "pid": is_count, "commit": optional(is_text), "device": is_text},
    **{"monitor": optional(is_text), "limit": {"kimg": optional(is_amount), "minutes": optional(is_amount)}},
    **{"kimg": is_amount, "seconds": is_amount, "images_per_second": is_amount, "best": SCORES, "last": SCORES},
    **{name: {str: is_text} for name in ("versions", "choices", "diagnosis", "verdict")},  # verdict: of version 0.1
}


def check_writable(folder: Path) -> Path:
    """Return the nearest folder above `folder` that exists. UserError if it is not writable or little space is free."""
    above = next(parent for parent in [folder, *folder.parents] if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"{above} is not writable, so {folder} cannot be created. Give another folder=.")
    free = shutil.disk_usage(above).free
    if free < MIN_FREE:
        raise UserError(
            f"{above} has {free / 2**20:.0f} MiB free; a run needs at least {MIN_FREE / 2**20:.0f} MiB. "
            "Free some space, or give a folder= on another disk."
        )
    return above


def check_new_folder(folder: Path, key: str = "folder") -> Path:
    """Return the folder. UserError, before any work for it, if `make_run_folder` could not make it now."""
    check_writable(folder.absolute())
    choose_name(folder, key)
    return folder


def make_run_folder(folder: Path, write: Callable[[Path], object], key: str = "folder") -> Path:
    """Make the folder of a new run, as a whole or not at all, and return it. UserError if that is not possible.

    write: fills the folder, which has another, hidden name until then.  key: the setting that names it.
    A name that ends in a time gets a number if it is taken: two runs may start in one second.
    """
    check_writable(folder.absolute())
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be created: {error.strerror}. Give another {key}=.") from error
    choose_name(folder, key)
    with building(folder) as partial:
        partial.mkdir()
        write(partial)
        while True:
            try:
                return partial.rename(choose_name(folder, key))
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # these two: another process was faster
                    raise UserError(f"{folder} cannot be created: {error.strerror}. Give another {key}=.") from error


def choose_name(folder: Path, key: str) -> Path:
    """Return the folder, or if it exists and its name ends in a time, the first with a number that does not."""
    if not os.path.lexists(folder):
        return folder
    if re.search(r"\d{6}$", folder.name):  # not a name that the user gave
        for number in range(2, 100):
            if not os.path.lexists(numbered := folder.with_name(f"{folder.name}-{number}")):
                return numbered
    is_unfinished_run = read_status(folder).get("state", "done") != "done"
    advice = f" To continue the run in it: {ganrun_command('resume', folder)}" if is_unfinished_run else ""
    raise UserError(f"{folder} exists. Give a new {key}=, or leave it out.{advice}")


class AppendHandler(logging.FileHandler):
    """Appends log messages to a file, but never through a link."""

    def _open(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(open_append(self.baseFilename), "utf-8", "backslashreplace")


@contextmanager
def log_to_file(folder: Path) -> Iterator[None]:
    """Write ganrun's log messages to train.log, too, and the error that ends the block, with its traceback."""
    handler = AppendHandler(folder / "train.log", delay=True)  # another rank makes the folder
    handler.setFormatter(LogFormatter())
    handler.handleError = lambda record: None  # the run itself reports a full disk
    logging.getLogger("ganrun").addHandler(handler)
    try:
        yield
    except (Exception, Interrupted) as error:
        is_expected = isinstance(error, UserError | Interrupted)
        copy_to_log(f"ganrun: {printable(error)}" if is_expected else "".join(format_exception(error)).rstrip())
        raise
    finally:
        logging.getLogger("ganrun").removeHandler(handler)
        handler.close()


def copy_to_log(text: str) -> None:
    """Write what the terminal shows in another way to train.log, within `log_to_file`."""
    for handler in logging.getLogger("ganrun").handlers:
        if isinstance(handler, AppendHandler):
            handler.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))


@contextmanager
def explain_lost_folder(folder: Path) -> Iterator[None]:
    """Turn the OSError of a run folder that is full, gone or read-only into a Failure that names the next command."""
    try:
        yield
    except OSError as error:
        reason = "" if isinstance(error, UserError) else explain_loss(folder, error)
        if not reason:
            raise
        raise Failure(reason) from error


def explain_loss(folder: Path, error: OSError) -> str:
    """Return why a run folder cannot be written, and what to do; "" if something else is at fault."""
    intact, command = "Earlier checkpoints are intact.", ganrun_command("resume", folder)
    if is_full_disk(error):
        return f"The disk of {folder} is full. {intact} Free some space, then: {command}"
    if not folder.is_dir():
        return f"{folder} has been removed while the training ran, with all that it had saved. Train again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE):
        place = error.filename or folder
        return f"{place} cannot be written: {error.strerror}. {intact} Make it writable, then: {command}"
    return ""


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions


def git_commit() -> str | None:
    """Return the git commit of the working folder, or None."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip() or None
    except (OSError, subprocess.TimeoutExpired):
        return None


def check_contents(folder: Path, trust: bool = False, command: str | None = None) -> None:
    """Raise UserError if something in the folder leads out of it, or is not a file or folder, and trust is false.

    ganrun could read, overwrite or delete what a link leads to, and would wait for ever for a FIFO. The folder itself
    may be a link.  command: what to do if the folder is trusted; None: this command with trust=true.
    """
    if trust or not folder.is_dir():
        return
    try:
        stray = find_stray_entry(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror} ({error.filename}).") from error
    if stray:
        advice = f"{stray}; ganrun follows nothing out of {folder}. Put the files themselves there. "
        raise UntrustedError(f"{advice}Or, if the folder is yours or you trust it", command)


def has_strays(folder: Path) -> bool:
    """Return whether `check_contents` refuses the folder."""
    try:
        check_contents(folder)
    except UserError:
        return True
    return False


def read_status(folder: Path) -> dict[str, Any]:
    """Return the content of a run's status.json, without entries of a wrong type; {} if it is missing or damaged."""
    try:
        content = read_form(folder / STATUS, MAX_STATUS, {})
    except (OSError, ValueError):
        return {}
    form = {name: STATUS_FORM.get(name, is_shallow) for name in content}
    status = {name: value for name, value in content.items() if find_wrong_entry(value, form[name]) is None}
    return status | {name: nan_for_null(status[name]) for name in ("best", "last") if name in status}


def read_config(folder: Path) -> dict[str, Any]:
    """Return the nested settings of a run, which the caller must not change. OSError or ValueError if unreadable.

    They are for reading and showing: values that call a resolver are the texts that they are.
    """
    path = folder.absolute() / "config.yaml"
    return _load_config(path, path.stat().st_mtime_ns)


@lru_cache(4096)
def _load_config(path: Path, _modified: int) -> dict[str, Any]:
    content = read_saved_config(path.parent)
    check_size(content)
    plain = fill_in_keys(content)
    if not any(isinstance(value, str) and "${" in value for _, value in iterate_values(plain)):
        return plain
    try:
        return cast("dict[str, Any]", OmegaConf.to_container(without_resolvers(content), resolve=True))
    except OmegaConfBaseException as error:
        raise ValueError(f"its interpolations cannot be resolved: {' '.join(str(error).split())}") from error


def read_saved_config(folder: Path) -> dict[str, Any]:
    """Return the config of a run as it is saved, to be checked. OSError or ValueError if it is unreadable."""
    return parse_saved_config(read_text(folder / "config.yaml", MAX_BYTES, follow_links=True))

"""What a sweep remembers: its definition and its jobs, in sweep.json of its folder."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

from ganrun.config.json_forms import is_count, is_plain_name, is_shallow, is_text, is_thread_count, optional, read_form
from ganrun.errors import UserError, did_you_mean
from ganrun.files import UnsafeFileError, open_append, outputs_dir, replace_text, to_json
from ganrun.sweep.job_state import JobState

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SWEEP_FILE = "sweep.json"
LOCK_FILE = ".lock"  # its modification time is that of the sweep's last start
SWEEP_VARIABLE = "GANRUN_SWEEP"  # environment variable that tells jobs the sweep's folder


MAX_SWEEP = 2**25  # bytes: tens of thousands of jobs
JOB_FORM = {
    **{"number": is_count, "point": is_count, "seed": is_count, "attempts": is_count, "values": {str: is_text}},
    **{"name": is_plain_name, "state": is_text, "error": is_text, "runner": is_text},
}
DEFINITION_FORM = {
    "fixed": [is_text],
    "axes": [is_text],
    "seeds": [is_count],
    "settings": {"metric": optional(is_text), "direction": optional(is_text), str: is_shallow},
}
SWEEP_FORM = {
    **{"definition": DEFINITION_FORM, "jobs": [JOB_FORM], "command": [is_text], "flags": {str: is_text}},
    **{"id": is_text, "study": is_text, "threads": is_thread_count},
}


@dataclass
class SweepJob:
    """One training: a point of the search space and a seed."""

    number: int  # its index in the sweep, which never changes
    point: int  # the index of its point
    values: dict[str, str]
    seed: int
    name: str
    state: JobState = JobState.WAITING
    error: str = ""  # the last error message of a failed job
    attempts: int = 0  # how often it failed in this start
    runner: str = ""  # the name in RunnerRegistry of the process that has it, or had it last

    def __post_init__(self) -> None:
        self.state = JobState(self.state)  # sweep.json holds a string


@dataclass
class SweepState:
    """The definition that identifies a sweep, its jobs by number, and the command that started it."""

    folder: Path
    definition: dict
    jobs: list[SweepJob] = field(default_factory=list)
    command: list[str] = field(default_factory=list)  # overrides
    flags: dict[str, str] = field(default_factory=dict)  # flags other than -m
    id: str = field(default_factory=lambda: uuid4().hex)  # unique, whatever the folder is called
    study: str = ""  # name of the study in a database
    threads: int = 0  # CPU threads of each job, whatever the number of jobs; 0: as the job itself chooses

    @property
    def points(self) -> set[int]:
        """The indices of the points that have jobs."""
        return {job.point for job in self.jobs}

    @property
    def keys(self) -> list[str]:
        """The settings that vary."""
        return [axis.partition("=")[0] for axis in self.definition.get("axes", [])]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the jobs, joining or leaving. Not reentrant."""
        with open_append(self.folder / LOCK_FILE) as file:
            flock(file)
            yield

    @contextmanager
    def change(self) -> Iterator[None]:
        """Lock the sweep, read its jobs from disk, and write them if they differ at the end."""
        with self.locked():
            if (self.folder / SWEEP_FILE).exists():
                saved = load_sweep(self.folder)
                self.jobs, self.id, self.study = saved.jobs, saved.id, saved.study
                self.threads = saved.threads or self.threads
            before = self._text()
            yield
            if self._text() != before or not (self.folder / SWEEP_FILE).exists():
                self.save()

    def save(self) -> None:
        replace_text(self.folder / SWEEP_FILE, self._text())

    def _text(self) -> str:
        content = asdict(self)
        del content["folder"]
        if not self.threads:
            del content["threads"]
        return to_json(content, indent=1) + "\n"


class RunnerRegistry:
    """The processes that work on a sweep, on this machine or on others that share its folder.

    Each locks a file of its own, and the system frees the lock however the process ends.
    """

    def __init__(self, folder: Path):
        self.folder = folder / ".runners"
        self.name = f"{platform.node()}-{os.getpid()}-{uuid4().hex[:6]}"  # containers may share host name and pid

    def join(self) -> None:
        """Register this process. Call it, and `others`, only within SweepState.change or SweepState.locked."""
        self.folder.mkdir(exist_ok=True)
        self.file = open_append(self.folder / self.name)
        flock(self.file)

    def leave(self) -> None:
        (self.folder / self.name).unlink(missing_ok=True)
        self.file.close()

    def others(self) -> set[str]:
        """Return the names of the other processes that are alive, and remove the files of dead ones."""
        alive = set()
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name == self.name:
                continue
            with suppress(FileNotFoundError, UnsafeFileError), open_append(path) as file:
                if flock(file, wait=False):
                    path.unlink()
                else:
                    alive.add(path.name)
        return alive


def flock(file: IO, wait: bool = True) -> bool:
    """Lock a file until all who hold it have closed it or ended. Return False if another has it and `wait` is false.

    Not the package filelock: a signal interrupts a sweep by an exception, after which a lock of filelock may stay
    locked, and the jobs of a sweep inherit the locks of their GPUs.
    """
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if wait:
            raise
        return False
    return True


def load_sweep(folder: Path, definition: Mapping | None = None) -> SweepState:
    """Return the sweep in the folder, or a new one if a definition is given and the folder is empty or missing.

    definition: of the sweep that the folder must hold; None accepts any. Raises UserError if it holds another or none.
    """
    path = folder / SWEEP_FILE
    if definition is not None and not path.exists():
        if folder.exists() and any(not child.name.startswith(".") for child in folder.iterdir()):
            raise UserError(f"{folder} exists and holds no sweep. Give another sweep.name= or folder=.")
        return SweepState(folder, dict(definition))
    try:
        content = read_form(path, MAX_SWEEP, SWEEP_FORM)
        content["jobs"] = [SweepJob(**job) for job in content["jobs"]]
        if [job.number for job in content["jobs"]] != list(range(len(content["jobs"]))):
            raise ValueError("its jobs are not in order")
        state = SweepState(folder, **content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}. Start again with sweep.fresh=true.") from error
    if definition is not None and state.definition != dict(definition):
        saved, requested = describe_definition(state.definition), describe_definition(definition)
        if saved == requested:
            raise UserError(
                f"{folder} keeps its study elsewhere: give the sweep.storage= that it was started with, another "
                "sweep.name= or folder=, or sweep.fresh=true to start again there."
            )
        raise UserError(
            f"{folder} holds another sweep, {saved}; this one is {requested}. "
            "Give another sweep.name= or folder=, or sweep.fresh=true to start again there."
        )
    return state


def last_start(folder: Path) -> float:
    """Return when a sweep was last started; for a copy without its hidden files, when sweep.json was written."""
    return next(path for path in (folder / LOCK_FILE, folder / SWEEP_FILE) if os.path.lexists(path)).lstat().st_mtime


def describe_definition(definition: Mapping) -> str:
    """Return a sweep's definition as the overrides of a command, without the place of its study."""
    settings = {key: value for key, value in definition.get("settings", {}).items() if value and key != "storage"}
    overrides = [f"sweep.{key}={value}" for key, value in settings.items()]
    fixed, axes, seeds = (definition.get(name, []) for name in ("fixed", "axes", "seeds"))
    return " ".join([*fixed, *axes, f"seed={','.join(map(str, seeds))}", *overrides])


def find_sweep(name: str) -> Path:
    """Return the folder of a sweep, given as a path, as a name in outputs/sweeps, or as `last`."""
    sweeps = outputs_dir("sweeps")
    paths = sorted(sweeps.glob(f"*/{SWEEP_FILE}"), key=lambda path: last_start(path.parent))
    if name == "last" and paths:
        return paths[-1].parent
    for folder in (Path(name), sweeps / name):
        if (folder / SWEEP_FILE).is_file():
            return folder
    names = [path.parent.name for path in paths]
    if not names:
        raise UserError(f"{name} is not a sweep folder, and {sweeps} is empty. Start a sweep: ganrun train -m")
    raise UserError(f"{name} is not a sweep folder or the name of one in {sweeps}.{did_you_mean(name, names)}")

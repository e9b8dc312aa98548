"""What a sweep remembers: its jobs, in sweep.json of its folder."""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from ganrun.errors import UserError, did_you_mean
from ganrun.paths import replace_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SWEEP_FILE = "sweep.json"
LOCK_FILE = ".lock"  # its time is that of the sweep's last start
SWEEPS_DIR = Path("outputs/sweeps")
SWEEP_VARIABLE = "GANRUN_SWEEP"  # the variable that names a sweep's folder to its jobs
FINISHED = ("done", "pruned")  # of which there is nothing left to do


@dataclass
class SweepJob:
    """One training: a point of the space and a seed.

    number: its place in the sweep, for good.  point: the number of its point.
    state: waiting | running | done | pruned | failed | refused | interrupted.
    error: the last line of what a failed one said.  attempts: starts that failed.
    runner: the process that has it, or had it last, see RunnerRegistry.
    """

    number: int
    point: int
    values: dict[str, str]
    seed: int
    name: str
    state: str = "waiting"
    error: str = ""
    attempts: int = 0
    runner: str = ""


@dataclass
class SweepState:
    """The definition of a sweep, by which it is known again, its jobs by number, and the command that began it."""

    folder: Path
    definition: dict
    jobs: list[SweepJob] = field(default_factory=list)
    command: list[str] = field(default_factory=list)  # its settings
    flags: dict[str, str] = field(default_factory=dict)  # and its flags, but for -m
    id: str = field(default_factory=lambda: uuid4().hex)  # of this sweep alone, however its folder is called
    study: str = ""  # its name in a database

    @property
    def points(self) -> set[int]:
        """The numbers of the points so far."""
        return {job.point for job in self.jobs}

    @property
    def keys(self) -> list[str]:
        """The settings that vary."""
        return [axis.partition("=")[0] for axis in self.definition["axes"]]

    def of_point(self, point: int) -> list[SweepJob]:
        return [job for job in self.jobs if job.point == point]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within, no other process changes the jobs, joins or leaves. Never within itself."""
        with (self.folder / LOCK_FILE).open("a") as file:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def change(self) -> Iterator[None]:
        """Within, the jobs are as on disk, and no other process changes them; afterwards they are written."""
        with self.locked():
            if (self.folder / SWEEP_FILE).exists():
                known = load_sweep(self.folder)
                self.jobs, self.id, self.study = known.jobs, known.id, known.study
            before = self._text()
            yield
            if self._text() != before or not (self.folder / SWEEP_FILE).exists():
                self.save()

    def save(self) -> None:
        replace_text(self.folder / SWEEP_FILE, self._text())

    def _text(self) -> str:
        jobs = [asdict(job) for job in self.jobs]
        content = {"id": self.id, "study": self.study, "command": self.command, "flags": self.flags}
        content["definition"] = self.definition
        return json.dumps({**content, "jobs": jobs}, indent=1) + "\n"


class RunnerRegistry:
    """The processes that work on a sweep, on this machine or on others that share its folder.

    Each holds a lock on a file of its own, which the system frees when it ends, however that goes.
    """

    def __init__(self, folder: Path):
        self.folder = folder / ".runners"
        self.name = f"{platform.node()}-{os.getpid()}-{uuid4().hex[:6]}"  # containers may share node and pid

    def join(self) -> None:
        """Makes this process one of them. Like `others`, within SweepState.change or SweepState.locked alone."""
        self.folder.mkdir(exist_ok=True)
        self.file = (self.folder / self.name).open("a")
        if fcntl:
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def leave(self) -> None:
        (self.folder / self.name).unlink(missing_ok=True)
        self.file.close()

    def others(self) -> set[str]:
        """Those that live beside this one; what dead ones left is removed."""
        found = set()
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name == self.name:
                continue
            with suppress(FileNotFoundError), path.open("a") as file:
                try:
                    fcntl and fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                except OSError:
                    found.add(path.name)
        return found


def load_sweep(folder: Path, definition: Mapping | None = None) -> SweepState:
    """The state in the folder, or a new one. Raises UserError where the folder holds another sweep or none.

    definition: of the sweep that it is to hold; None: of whichever it holds.
    """
    path = folder / SWEEP_FILE
    if definition is not None and not path.exists():
        if folder.exists() and any(not child.name.startswith(".") for child in folder.iterdir()):
            raise UserError(f"{folder} is there already, and holds no sweep. Give another sweep.name= or folder=.")
        return SweepState(folder, dict(definition))
    try:
        content = json.loads(path.read_text())
        content["jobs"] = [SweepJob(**job) for job in content["jobs"]]
        state = SweepState(folder, **content)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}). Start anew with sweep.fresh=true.") from error
    if definition is not None and state.definition != dict(definition):
        known, asked = describe_definition(state.definition), describe_definition(definition)
        if known == asked:
            raise UserError(
                f"{folder} has its study elsewhere: give the sweep.storage= that it was begun with, another "
                "sweep.name= or folder=, or sweep.fresh=true to start anew there."
            )
        raise UserError(
            f"{folder} holds another sweep, {known}; this one is {asked}. "
            "Give another sweep.name= or folder=, or sweep.fresh=true to start anew there."
        )
    return state


def load_or_empty(folder: Path) -> SweepState:
    """The state in the folder, or one of nothing where it cannot be read."""
    try:
        return load_sweep(folder)
    except UserError:
        return SweepState(folder, {}, id="unknown")


def last_start(folder: Path) -> float:
    """When a sweep was started the last time; of a copy without its lock, when it was written."""
    return next(path for path in (folder / LOCK_FILE, folder / SWEEP_FILE) if path.exists()).stat().st_mtime


def describe_definition(definition: Mapping) -> str:
    """The words of a command that stand for a sweep's definition, but for where its study lies."""
    settings = {key: value for key, value in definition.get("settings", {}).items() if value and key != "storage"}
    own = [f"sweep.{key}={value}" for key, value in settings.items()]
    return " ".join(
        [*definition["fixed"], *definition["axes"], f"seed={','.join(map(str, definition['seeds']))}", *own]
    )


def find_sweep(name: str) -> Path:
    """The sweep's folder that is meant by a path, by a name in outputs/sweeps, or by the word last."""
    known = sorted(SWEEPS_DIR.glob(f"*/{SWEEP_FILE}"), key=lambda path: last_start(path.parent))
    if name == "last" and known:
        return known[-1].parent
    for folder in (Path(name), SWEEPS_DIR / name):
        if (folder / SWEEP_FILE).is_file():
            return folder
    names = [path.parent.name for path in known]
    if not names:
        raise UserError(
            f"{name} is no folder of a sweep, and there are none in {SWEEPS_DIR}: ganrun train -m begins one."
        )
    raise UserError(f"{name} is no folder of a sweep, nor the name of one in {SWEEPS_DIR}.{did_you_mean(name, names)}")

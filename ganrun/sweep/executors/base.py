"""The interface that all executors share, and a job in their hands."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import ganrun
from ganrun.files import open_append, open_regular

# A job must not inherit these: the sweep itself may run as one of several ranks
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")
PROGRAM = (
    sys.executable,
    str(Path(ganrun.__file__).with_name("__main__.py")),
)  # `-m ganrun` searches the working folder
MAX_TAIL = 2**20  # bytes at the end of a log in which its last message is looked for
MAX_MESSAGE = 2000  # characters of it that are kept
GRACE_SECONDS = 60  # for a training to save after SIGTERM


@dataclass
class FinishedJob:
    """How a job ended."""

    exit_code: int  # minus the signal number if a signal killed it
    message: str = ""  # the last error in its log, or its last line


@dataclass
class ExecutorJob:
    """A submitted job: the arguments of `ganrun`, and its log, which had `offset` bytes when it was submitted."""

    args: Sequence[str]
    log: Path
    offset: int = field(init=False)

    def __post_init__(self):
        self.log.parent.mkdir(exist_ok=True)
        self.offset = self.log.stat().st_size if self.log.exists() else 0

    def start(self, env: Mapping[str, str], locks: Sequence[IO] = ()) -> subprocess.Popen:
        """Start `ganrun` as a process that appends its output to the log.

        env: variables added to those of this process.  locks: lock files that the job's process holds, too.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
        with open_append(self.log) as file:
            return subprocess.Popen(
                [*PROGRAM, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**inherited, **env, "PYTHONUNBUFFERED": "1"},
                pass_fds=[lock.fileno() for lock in locks],
                start_new_session=True,  # Ctrl-C goes to the sweep alone, which then asks its jobs to end
                # The job gets SIGTERM when this process is gone, however it ended
                preexec_fn=partial(ctypes.CDLL(None).prctl, 1, signal.SIGTERM) if sys.platform == "linux" else None,
            )

    def last_message(self) -> str:
        """Return the last error message that `ganrun` printed in this job, or else the last line of its output."""
        with suppress(OSError):
            with open_regular(self.log) as file:
                file.seek(max(self.offset, file.seek(0, os.SEEK_END) - MAX_TAIL))
                text = file.read(MAX_TAIL).decode(errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            errors = [line.removeprefix("ganrun: ") for line in lines if line.startswith("ganrun: ")]
            return (errors or lines or [""])[-1][:MAX_MESSAGE]
        return ""

    def finish(self, exit_code: int) -> FinishedJob:
        return FinishedJob(exit_code, self.last_message())


class Executor(ABC):
    """Runs the jobs of a sweep, at most `size` at a time. env: variables added to the environment of every job.

    The runner submits jobs while there `has_room`, and calls `poll` regularly.
    jobs: those that were submitted and not yet returned by `poll`, by number.
    """

    jobs: dict[int, Any]

    def __init__(self, size: int, env: Mapping[str, str]):
        self.size, self.env = size, dict(env)

    def has_room(self) -> bool:
        """Return whether one more job may be submitted; an executor may reserve resources for it."""
        return len(self.jobs) < self.size

    @abstractmethod
    def submit(self, number: int, args: Sequence[str], log: Path) -> bool:
        """Start `ganrun` with these arguments, now or at the next `poll`. Return False if there is no room for it."""

    @abstractmethod
    def poll(self) -> dict[int, FinishedJob]:
        """Start the jobs that wait for it, and return those that ended since the last call."""

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until `poll` may have something to return."""
        time.sleep(seconds)

    @abstractmethod
    def stop(self) -> dict[int, FinishedJob]:
        """Ask all jobs to save and end, wait for them and return them. Drop jobs that have not started."""

    def release(self) -> None:  # noqa: B027
        """Free what `has_room` reserved: no job can start now."""

    def prepare_to_stop(self) -> None:  # noqa: B027
        """Handle the first signal to the sweep, before anything else does."""

"""What every executor of sweep jobs offers, and a running job."""

import ctypes
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# A job is none of the ranks that the sweep itself may be one of
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")


GRACE_SECONDS = 60  # seconds that a training gets to save when it is asked to end


@dataclass
class JobCommand:
    """A job that is to be started. begin: where in its log it begins."""

    words: Sequence[str]
    log: Path
    begin: int

    @classmethod
    def noted(cls, words: Sequence[str], log: Path) -> "JobCommand":
        log.parent.mkdir(exist_ok=True)
        return cls(words, log, log.stat().st_size if log.exists() else 0)

    def started(self, settings: Mapping[str, str], locks: Sequence[IO] = ()) -> subprocess.Popen:
        """`ganrun` with the job's words, what it says going to its log.

        settings: of its environment, beside this process's, but for what makes that a rank.  locks: that it holds too.
        """
        inherited = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
        with self.log.open("a") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "ganrun", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**inherited, **settings, "PYTHONUNBUFFERED": "1"},
                pass_fds=[lock.fileno() for lock in locks],
                start_new_session=True,  # Ctrl-C is for the sweep, which asks the jobs to end
                preexec_fn=terminate_with_parent if sys.platform == "linux" else None,
            )

    def last_words(self) -> str:
        """The last line that tells of an error, or the last of all."""
        with suppress(OSError):
            text = self.log.read_bytes()[self.begin :].decode(errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            told = [line.removeprefix("ganrun: ") for line in lines if line.startswith("ganrun: ")]
            return (told or lines or [""])[-1]
        return ""


class Executor(ABC):
    """Where the jobs of a sweep run, no more than `size` of them at a time; `running` has those that are not over."""

    size: int
    running: Mapping[int, Any]

    def has_room(self) -> bool:
        """Whether a job may start."""
        return len(self.running) < self.size

    @abstractmethod
    def start(self, number: int, words: Sequence[str], log: Path) -> bool:
        """Starts `ganrun` with these words as job `number`, or notes it to be started; False where that cannot be."""

    @abstractmethod
    def ended(self) -> dict:
        """The jobs that have come to an end since the last call, by their numbers: each has a code and last_words()."""

    @abstractmethod
    def stop(self) -> dict:
        """Has all jobs save and end, and waits for them; those that were only noted are forgotten."""

    def keep_nothing(self) -> None:  # noqa: B027
        """Lets go of what was kept for a job: there is none that could start."""

    def warned(self) -> None:  # noqa: B027
        """Is called at a signal, before anything else is done about it."""


def terminate_with_parent() -> None:
    """Has Linux ask this process to end when the one that started it is gone, however that went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)

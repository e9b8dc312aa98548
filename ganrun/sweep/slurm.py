"""Jobs of a sweep as jobs of Slurm."""

import hashlib
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ganrun.errors import Failure, UserError
from ganrun.sweep.pool import last_words

PAUSE = 2.0  # seconds between two questions to Slurm
WARNING = 120  # seconds before the end of its time at which a job is told to save
GOING_ON = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "STAGE_OUT")


@dataclass
class Queued:
    """A job in Slurm's hands, or out of them."""

    id: str
    log: Path
    begin: int = 0  # where in the log it begins
    code: int | None = None  # its exit code, minus the signal that ended it; None until it ends

    def last_words(self) -> str:
        return last_words(self.log, self.begin)


class Slurm:
    """A pool that hands jobs to sbatch, no more than `size` in the queue at a time.

    options: of sbatch, "--partition=gpu --gpus=1 --time=4:00:00".  settings: of the jobs' environment.
    A job is told to save before its time is over, and is queued again (ganrun does so on USR1), as after a preemption:
    it goes on from its checkpoint. One that an earlier start of the sweep left in the queue ends first: the names are
    the same, and the new one waits for it.
    """

    def __init__(self, size: int, options: str, settings: Mapping[str, str]):
        if not shutil.which("sbatch"):
            raise UserError(f"sweep.sbatch={options} needs Slurm, and there is no sbatch here. Leave it out.")
        self.size, self.options, self.settings = size, shlex.split(options), dict(settings)
        self.running: dict[int, Queued] = {}
        self.asked = 0.0

    def has_room(self) -> bool:
        return len(self.running) < self.size

    def start(self, number: int, words: Sequence[str], log: Path) -> bool:
        """Queues `ganrun` with these words as job `number`. Raises UserError for what sbatch refuses."""
        log.parent.mkdir(exist_ok=True)
        begin = log.stat().st_size if log.exists() else 0
        digest = hashlib.blake2b(str(log.parent.absolute()).encode(), digest_size=4).hexdigest()
        variables = [f"{name}={value}" for name, value in {**self.settings, "PYTHONUNBUFFERED": "1"}.items()]
        work = shlex.join(["exec", "srun", "env", *variables, sys.executable, "-m", "ganrun", *words])
        command = [
            *("sbatch", "--parsable", "--requeue", "--open-mode=append", f"--output={log.absolute()}"),
            *(f"--signal=USR1@{WARNING}", f"--job-name=ganrun-{digest}-{number}", "--dependency=singleton"),
            *(*self.options, "--wrap", work),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and self.running:  # too many in the queue, or a controller that is busy: later
            return False
        if done.returncode:
            raise UserError(f"sbatch refused a job of the sweep: {done.stderr.strip()}. See sweep.sbatch=.")
        self.running[number] = Queued(done.stdout.strip().split(";")[0], log, begin)
        return True

    def ended(self) -> dict[int, Queued]:
        """The jobs that have come to an end since the last call; asks Slurm now and then."""
        if time.monotonic() - self.asked < PAUSE:
            return {}
        self.asked = time.monotonic()
        for job in self.running.values():
            job.code = code_of(told(job.id))
        over = {number: job for number, job in self.running.items() if job.code is not None}
        for number in over:
            del self.running[number]
        return over

    def stop(self) -> dict[int, Queued]:
        """Has Slurm end all jobs, which save; waits for them."""
        if self.running:
            subprocess.run(["scancel", *(job.id for job in self.running.values())], capture_output=True)
        over: dict[int, Queued] = {}
        while self.running:
            time.sleep(0.2)
            over |= self.ended()
        return over


def told(job: str) -> dict[str, str]:
    """What Slurm tells of a job; nothing of one that it has forgotten."""
    with suppress(OSError):
        done = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True)
        if done.returncode == 0:
            return dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
        if "Invalid job id" not in done.stderr:  # the controller is not to be reached now
            return {"JobState": "PENDING"}
    return {}


def code_of(facts: Mapping[str, str]) -> int | None:
    """The exit code of a job that has ended, minus a signal's number; None while it goes on."""
    state = facts.get("JobState", "COMPLETED").split("+")[0]
    if state in GOING_ON:
        return None
    if state in ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"):
        return 143
    code, _, signum = facts.get("ExitCode", "0:0").partition(":")
    if not (code.isdigit() and signum.isdigit()):
        raise Failure(f"Slurm tells an exit code that is none: {facts.get('ExitCode')}.")
    return -int(signum) if int(signum) else int(code)

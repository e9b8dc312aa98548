"""Jobs of a sweep as jobs of Slurm."""

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
from ganrun.sweep.executors.base import Executor, JobCommand
from ganrun.sweep.state import SweepState

RESERVED_OPTIONS = (
    "--array",
    "-a",
    "--comment",
    "--job-name",
    "-J",
    "--wrap",
    "--output",
    "-o",
    "--requeue",
    "--no-requeue",
)
POLL_SECONDS = 2.0  # seconds between two questions to Slurm
MAX_COMMENT = 1000  # letters of a comment that Slurm takes
WARNING_SECONDS = 120  # seconds before the end of its time at which a job is told to save
ACTIVE_STATES = (
    "PENDING",
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "SUSPENDED",
    "STAGE_OUT",
)


def has_slurm() -> bool:
    return shutil.which("sbatch") is not None


@dataclass
class SlurmJob:
    """A job in Slurm's hands, or out of them."""

    id: str
    task: JobCommand
    code: int | None = None  # its exit code, minus the signal that ended it; None until it ends

    def last_words(self) -> str:
        return self.task.last_words()


class SlurmExecutor(Executor):
    """Hands jobs to sbatch, no more than `size` of its own in the queue at a time, those of one moment as one array.

    options: of sbatch, "--partition=gpu --gpus=1 --time=4:00:00".  settings: of the jobs' environment.
    A job is told to save before its time is over, and is queued again (ganrun does so on USR1), as after a preemption:
    it goes on from its checkpoint. One that an earlier start of the sweep left waiting in the queue is taken over: an
    array has the name of its sweep's id, and its comment lists the numbers of its jobs in their order.
    """

    def __init__(self, size: int, options: str, settings: Mapping[str, str], state: SweepState):
        if not has_slurm():
            raise UserError(f"sweep.sbatch={options} needs Slurm, and there is no sbatch here. Leave it out.")
        try:
            self.options = shlex.split(options)
        except ValueError as error:
            raise UserError(f"sweep.sbatch={options} cannot be read: {error}.") from error
        self.size, self.settings = size, dict(settings)
        if taken := [word for word in self.options if word.partition("=")[0] in RESERVED_OPTIONS]:
            raise UserError(f"sweep.sbatch={options}: {taken[0]} is ganrun's to give. Leave it out.")
        self.new: dict[int, JobCommand] = {}
        self.queued: dict[int, SlurmJob] = {}
        self.state = state
        self.asked = 0.0
        self.is_known_good = False  # that sbatch takes these options

    @property
    def running(self) -> dict[int, SlurmJob | JobCommand]:
        """All that is not over."""
        return {**self.queued, **self.new}

    def start(self, number: int, words: Sequence[str], log: Path) -> bool:
        """Notes `ganrun` with these words as job `number`; the next call of `ended` queues all that were noted."""
        self.new[number] = JobCommand.noted(words, log)
        return True

    def ended(self) -> dict[int, SlurmJob]:
        """The jobs that have come to an end since the last call; asks Slurm now and then.

        Raises UserError for what sbatch refuses.
        """
        if time.monotonic() - self.asked < POLL_SECONDS:
            return {}
        self.asked = time.monotonic()
        queue = queued_ids(self.state.id)
        if queue is None:
            return {}
        for number in [*self.new]:
            if number in queue:
                self.queued[number] = SlurmJob(queue[number], self.new.pop(number))
        self._submit()
        for number, job in self.queued.items():
            job.code = None if number in queue else exit_code_of(job_info(job.id))
        over = {number: job for number, job in self.queued.items() if job.code is not None}
        for number in over:
            del self.queued[number]
        return over

    def stop(self) -> dict[int, SlurmJob]:
        """Has Slurm end all jobs, which save; waits for them. Those that were not handed over are forgotten."""
        self.new.clear()
        over: dict[int, SlurmJob] = {}
        while self.queued:
            subprocess.run(["scancel", *(job.id for job in self.queued.values())], capture_output=True)
            time.sleep(POLL_SECONDS)
            over |= self.ended()
        return over

    def _submit(self) -> None:
        numbers: list[int] = []
        for number in self.new:
            if len(join_numbers([*numbers, number])) <= MAX_COMMENT:
                numbers.append(number)
        if not numbers:
            return
        tasks = [self.new[number] for number in numbers]
        command = [
            *(
                "sbatch",
                "--parsable",
                "--requeue",
                f"--signal=USR1@{WARNING_SECONDS}",
                f"--job-name={array_name(self.state.id)}",
            ),
            *(f"--array=0-{len(tasks) - 1}", f"--comment={join_numbers(numbers)}", "--output=/dev/null"),
            *self.options,
        ]
        done = subprocess.run(command, capture_output=True, text=True, input=batch_script(tasks, self.settings))
        if done.returncode and not self.is_known_good:
            raise UserError(f"sbatch refused a job of the sweep: {done.stderr.strip()}. See sweep.sbatch=.")
        if done.returncode:  # too many in the queue, or a controller that is busy: the next time
            return
        self.is_known_good = True
        array = done.stdout.strip().split(";")[0]
        for place, number in enumerate(numbers):
            self.queued[number] = SlurmJob(f"{array}_{place}", self.new.pop(number))


def array_name(sweep: str) -> str:
    return f"ganrun-{sweep[:12]}"


def join_numbers(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def queued_ids(sweep: str) -> dict[int, str] | None:
    """Slurm's ids of the jobs that wait or run of the sweep with this id, by numbers; None where it does not answer."""
    asked = ["squeue", "--me", "--noheader", "--array", f"--name={array_name(sweep)}", "--format=%i|%K|%k"]
    done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode:
        return None
    rows = (line.split("|") for line in done.stdout.splitlines())
    return {int(numbers.split(",")[int(place)]): job for job, place, numbers in rows}


def check_none_queued(state: SweepState) -> None:
    """Raises UserError where jobs of a sweep may be in Slurm's queue."""
    if not has_slurm():
        return
    left = queued_ids(state.id)
    if left is None and any(word.startswith("sweep.sbatch=") for word in state.command):
        raise UserError(f"Slurm does not say whether jobs of {state.folder} are in its queue. Try again later.")
    if left:
        ids = " ".join(left.values())
        raise UserError(f"{len(left)} jobs of {state.folder} are in Slurm's queue. Let them end, or: scancel {ids}")


def batch_script(tasks: Sequence[JobCommand], settings: Mapping[str, str]) -> str:
    """What an array runs: each of its jobs its own words, all that is said going to the job's log."""
    cases = [
        f"{place}) log={shlex.quote(str(task.log.absolute()))}; set -- {shlex.join(task.words)};;"
        for place, task in enumerate(tasks)
    ]
    variables = [f"{name}={value}" for name, value in {**settings, "PYTHONUNBUFFERED": "1"}.items()]
    work = shlex.join(["srun", "env", *variables, sys.executable, "-m", "ganrun"])
    lines = ["#!/bin/bash", "case $SLURM_ARRAY_TASK_ID in", *cases, "esac", 'exec >> "$log" 2>&1', f'exec {work} "$@"']
    return "\n".join(lines) + "\n"


def job_info(job: str) -> dict[str, str]:
    """What Slurm tells of a job; nothing of one that it has forgotten."""
    with suppress(OSError):
        done = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True)
        if done.returncode == 0:
            return dict(word.split("=", 1) for word in done.stdout.split() if "=" in word)
        if "Invalid job id" not in done.stderr:  # the controller is not to be reached now
            return {"JobState": "PENDING"}
    return {}


def exit_code_of(facts: Mapping[str, str]) -> int | None:
    """The exit code of a job that has ended, minus a signal's number; None while it goes on."""
    state = facts.get("JobState", "COMPLETED").split("+")[0]
    if state in ACTIVE_STATES:
        return None
    if state in ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"):
        return 143
    code, _, signum = facts.get("ExitCode", "0:0").partition(":")
    if not (code.isdigit() and signum.isdigit()):
        raise Failure(f"Slurm tells an exit code that is none: {facts.get('ExitCode')}.")
    return -int(signum) if int(signum) else int(code)

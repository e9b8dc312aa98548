"""Sweep jobs in Slurm's queue, handed over by sbatch."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ganrun.errors import Failure, UserError
from ganrun.sweep.executors.base import PROGRAM, Executor, ExecutorJob, FinishedJob
from ganrun.sweep.state import SweepState

RESERVED_OPTIONS = (  # sbatch options that this module sets
    *("--array", "-a", "--comment", "--job-name", "-J", "--wrap", "--output", "-o", "--requeue", "--no-requeue"),
)
POLL_SECONDS = 2.0  # between two calls of squeue
MAX_COMMENT = 1000  # characters of a comment that Slurm accepts
WARNING_SECONDS = 120  # how long before its time limit a job is told to save
ACTIVE_STATES = (
    *("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "STAGE_OUT"),
)


@dataclass
class SlurmJob(ExecutorJob):
    id: str = field(init=False, default="")  # Slurm's job id, known once sbatch has accepted the job


class SlurmExecutor(Executor):
    """Hands jobs to sbatch, at most `size` at a time; jobs that are submitted together become one array.

    options: sbatch options, such as "--partition=gpu --gpus=1 --time=4:00:00".
    Before its time limit, a job gets SIGUSR1: ganrun saves and requeues it, and it continues from its checkpoint, as
    after a preemption. Jobs that an earlier start of the sweep left in the queue are found again: the array's name
    contains the id of the sweep, and its comment lists the numbers of its jobs in order.
    """

    def __init__(self, size: int, env: Mapping[str, str], options: str, state: SweepState):
        super().__init__(size, env)
        self.options, self.state = parse_options(options), state
        self.jobs: dict[int, SlurmJob] = {}
        self.last_poll = 0.0
        self.has_accepted = False  # sbatch has accepted these options before

    def submit(self, number: int, args: Sequence[str], log: Path) -> bool:
        self.jobs[number] = SlurmJob(args, log)
        return True

    def poll(self) -> dict[int, FinishedJob]:
        """Hand submitted jobs to sbatch and return those that ended; ask Slurm at most every POLL_SECONDS.

        Raises UserError if sbatch refuses the first jobs.
        """
        if time.monotonic() - self.last_poll < POLL_SECONDS:
            return {}
        self.last_poll = time.monotonic()
        queue = queued_ids(self.state.id)
        if queue is None:
            return {}
        for number, job in self.jobs.items():
            job.id = job.id or queue.get(number, "")
        self._submit_array()
        left = [(number, job.id) for number, job in self.jobs.items() if job.id and number not in queue]
        codes = {number: code for number, job in left if (code := exit_code_of(job_info(job))) is not None}
        return {number: self.jobs.pop(number).finish(code) for number, code in codes.items()}

    def stop(self) -> dict[int, FinishedJob]:
        """Cancel all jobs and wait until they have saved. Drop jobs that were not handed over."""
        self.jobs = {number: job for number, job in self.jobs.items() if job.id}
        finished: dict[int, FinishedJob] = {}
        while self.jobs:
            subprocess.run(["scancel", *(job.id for job in self.jobs.values())], capture_output=True)
            time.sleep(POLL_SECONDS)
            finished |= self.poll()
        return finished

    def _submit_array(self) -> None:
        jobs, comment = [], ""
        for number, job in self.jobs.items():
            longer = f"{comment},{number}".lstrip(",")
            if not job.id and len(longer) <= MAX_COMMENT:
                jobs, comment = [*jobs, job], longer
        if not jobs:
            return
        sbatch = [
            *("sbatch", "--parsable", "--requeue", f"--signal=USR1@{WARNING_SECONDS}", "--output=/dev/null"),
            *(f"--job-name={array_name(self.state.id)}", f"--array=0-{len(jobs) - 1}"),
            *(f"--comment={comment}", *self.options),
        ]
        result = subprocess.run(sbatch, capture_output=True, text=True, input=batch_script(jobs, self.env))
        if result.returncode and not self.has_accepted:
            raise UserError(f"sbatch refused a job of the sweep: {result.stderr.strip()}. Check sweep.sbatch.")
        if result.returncode:  # the queue is full or the controller is busy: try again at the next poll
            return
        self.has_accepted = True
        array = result.stdout.strip().split(";")[0]
        for index, job in enumerate(jobs):
            job.id = f"{array}_{index}"


def has_slurm() -> bool:
    return shutil.which("sbatch") is not None


def parse_options(options: str) -> list[str]:
    """Return sweep.sbatch as a list. Raises UserError without Slurm, and for malformed or reserved options."""
    if not has_slurm():
        raise UserError(
            f"sweep.sbatch={options} needs Slurm, and this machine has no sbatch. Remove it to run the jobs here."
        )
    try:
        parsed = shlex.split(options)
    except ValueError as error:
        raise UserError(f"sweep.sbatch={options} cannot be parsed: {error}.") from error
    if reserved := [option for option in parsed if option.partition("=")[0] in RESERVED_OPTIONS]:
        raise UserError(f"sweep.sbatch={options}: {reserved[0]} is set by ganrun; remove it.")
    return parsed


def array_name(sweep_id: str) -> str:
    return f"ganrun-{sweep_id[:12]}"


def queued_ids(sweep_id: str) -> dict[int, str] | None:
    """Return {job number: Slurm's id} of the sweep's jobs that wait or run, or None if Slurm does not answer."""
    squeue = ["squeue", "--me", "--noheader", "--array", f"--name={array_name(sweep_id)}", "--format=%i|%K|%k"]
    result = subprocess.run(squeue, capture_output=True, text=True)
    if result.returncode:
        return None
    rows = (line.split("|") for line in result.stdout.splitlines())
    return {int(numbers.split(",")[int(index)]): job for job, index, numbers in rows}


def check_none_queued(state: SweepState) -> None:
    """Raise UserError if jobs of the sweep are, or may be, in Slurm's queue."""
    if not has_slurm():
        return
    queue = queued_ids(state.id)
    if queue is None and any(override.startswith("sweep.sbatch=") for override in state.command):
        raise UserError(f"Slurm does not say whether jobs of {state.folder} are in its queue. Try again later.")
    if queue:
        ids = " ".join(queue.values())
        raise UserError(
            f"{len(queue)} jobs of {state.folder} are in Slurm's queue. Wait for them, or cancel them: scancel {ids}"
        )


def batch_script(jobs: Sequence[ExecutorJob], env: Mapping[str, str]) -> str:
    """Return the script of an array: each of its tasks runs `ganrun` with its own arguments and log."""
    cases = [
        f"{index}) log={shlex.quote(str(job.log.absolute()))}; set -- {shlex.join(job.args)};;"
        for index, job in enumerate(jobs)
    ]
    variables = [f"{name}={value}" for name, value in {**env, "PYTHONUNBUFFERED": "1"}.items()]
    srun = shlex.join(["srun", "env", *variables, *PROGRAM])
    lines = ["#!/bin/bash", "case $SLURM_ARRAY_TASK_ID in", *cases, "esac", 'exec >> "$log" 2>&1', f'exec {srun} "$@"']
    return "\n".join(lines) + "\n"


def job_info(job: str) -> dict[str, str]:
    """Return what `scontrol show job` prints; {} if Slurm has forgotten the job."""
    with suppress(OSError):
        result = subprocess.run(["scontrol", "--oneliner", "show", "job", job], capture_output=True, text=True)
        if result.returncode == 0:
            return dict(field.split("=", 1) for field in result.stdout.split() if "=" in field)
        if "Invalid job id" not in result.stderr:  # the controller cannot be reached now
            return {"JobState": "PENDING"}
    return {}


def exit_code_of(info: Mapping[str, str]) -> int | None:
    """Return the exit code of a job, or minus the signal that killed it; None if it has not ended."""
    state = info.get("JobState", "COMPLETED").split("+")[0]
    if state in ACTIVE_STATES:
        return None
    if state in ("CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"):
        return 143
    code, _, signum = info.get("ExitCode", "0:0").partition(":")
    if not (code.isdigit() and signum.isdigit()):
        raise Failure(f"Slurm reports ExitCode={info.get('ExitCode')}, which is not CODE:SIGNAL.")
    return -int(signum) if int(signum) else int(code)

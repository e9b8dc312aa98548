"""Sweep jobs as processes on this machine."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

from ganrun.files import cpu_count, open_append
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor, ExecutorJob, FinishedJob
from ganrun.sweep.executors.fork_server import ForkedProcess, ForkServer
from ganrun.sweep.executors.gpus import GpuLease, GpuPool

log = logging.getLogger(__name__)


@dataclass
class LocalJob(ExecutorJob):
    process: subprocess.Popen | ForkedProcess = field(init=False)


class LocalExecutor(Executor):
    """Runs jobs as processes of this machine.

    gpus_per_job: how many GPUs of the pool each job gets, if it has any.
    server: forks the jobs, with its environment, and is closed by `stop`; None: each job is a new Python.
    """

    def __init__(
        self,
        size: int,
        env: Mapping[str, str],
        gpus: GpuPool,
        gpus_per_job: int = 1,
        server: ForkServer | None = None,
    ):
        super().__init__(size, local_environment(size, env))
        self.server = server
        self.gpus, self.gpus_per_job = gpus, gpus_per_job
        self.jobs: dict[int, LocalJob] = {}
        self.reserved: GpuLease | None = None
        self.has_logged_wait = False

    def has_room(self) -> bool:
        """Whether one more job may be submitted; if so, its GPUs are reserved."""
        if not super().has_room():
            return False
        if self.gpus.names and not self.reserved:
            self.reserved = self.gpus.lease(self.gpus_per_job)
            if not (self.reserved or self.jobs or self.has_logged_wait):
                log.info("All GPUs are in use by other jobs; waiting for one of them.")
                self.has_logged_wait = True
        return not self.gpus.names or self.reserved is not None

    def submit(self, number: int, args: Sequence[str], log: Path) -> bool:
        if not self.has_room():
            return False
        lease, self.reserved = self.reserved, None
        job = LocalJob(args, log)
        job.process = self._start(job, lease or GpuLease([], []))
        self.jobs[number] = job
        if lease:
            lease.close()  # the job itself now holds the locks
        return True

    def _start(self, job: LocalJob, lease: GpuLease) -> subprocess.Popen | ForkedProcess:
        env = {"CUDA_VISIBLE_DEVICES": ",".join(lease.devices)} if lease.devices else {}
        if self.server:
            try:
                with open_append(job.log) as file:
                    return self.server.start(job.args, file, env, lease.files)
            except OSError as error:
                log.warning(
                    "Jobs cannot be forked (%s). They start as new processes from now on, which takes longer.", error
                )
                self.server = None
        return job.start({**self.env, **env}, lease.files)

    def poll(self) -> dict[int, FinishedJob]:
        codes = {number: code for number, job in self.jobs.items() if (code := job.process.poll()) is not None}
        return {number: self.jobs.pop(number).finish(code) for number, code in codes.items()}

    def wait(self, seconds: float) -> None:
        """Wait until a job ends, at most so long."""
        with ExitStack() as stack:
            handles = []
            try:
                for job in self.jobs.values():
                    handles.append(os.pidfd_open(job.process.pid))
                    stack.callback(os.close, handles[-1])
            except (AttributeError, OSError):  # only Linux since 5.3 has it
                super().wait(seconds)
                return
            connection.wait(handles, seconds)

    def stop(self) -> dict[int, FinishedJob]:
        """Send SIGTERM to all jobs and wait GRACE_SECONDS for them; kill them then, or at any exception meanwhile."""
        processes = [job.process for job in self.jobs.values()]
        try:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + GRACE_SECONDS
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            for process in processes:
                with suppress(OSError):  # the whole group: a job may have started ranks
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self.release()
            if self.server:
                self.server.close()
        return self.poll()

    def release(self) -> None:
        if self.reserved:
            self.reserved.close()
            self.reserved = None


def local_environment(size: int, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of jobs on this machine: if `size` run at the same time, they share its CPUs."""
    is_shared = size > 1 and "OMP_NUM_THREADS" not in {**os.environ, **env}
    return {"OMP_NUM_THREADS": str(max(1, cpu_count() // size)), **env} if is_shared else {**env}

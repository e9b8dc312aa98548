"""Processes side by side, each a training of its own, and the GPUs that are lent to them."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ganrun.paths import cpu_count
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor, JobCommand

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)
DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, AMD, and Windows' Linux


@dataclass
class GpuLease:
    """Places on GPUs, each held by a lock that the system frees when the last process that has it ends."""

    devices: list[str]
    files: list[IO]

    def close(self) -> None:
        """Leaves the places to whoever else has the locks, or to nobody."""
        for file in self.files:
            file.close()


class GpuPool:
    """The GPUs that jobs are given, each to so many at a time, whoever asks on this machine.

    names: as CUDA_VISIBLE_DEVICES takes them; none: nothing is lent, and a job sees what this process sees.
    """

    def __init__(self, names: Sequence[str], per_device: int, folder: Path | None = None):
        self.names, self.per_device = names, per_device
        self.folder = (
            folder or Path(tempfile.gettempdir()) / f"ganrun-gpus-{os.getuid() if hasattr(os, 'getuid') else 0}"
        )

    def lease(self, count: int = 1) -> GpuLease | None:
        """Free places on so many GPUs; None where there are too few."""
        self.folder.mkdir(exist_ok=True)
        found = GpuLease([], [])
        for place in range(self.per_device):
            for name in self.names:
                if len(found.devices) == count:
                    return found
                if name not in found.devices and (file := self._locked(f"{name.replace('/', '_')}-{place}.lock")):
                    found.devices.append(name)
                    found.files.append(file)
        if len(found.devices) == count:
            return found
        found.close()
        return None

    def _locked(self, name: str) -> IO | None:
        file = open(self.folder / name, "a")  # noqa: SIM115
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        file.close()
        return None


@dataclass
class LocalJob:
    """A job that runs here."""

    popen: subprocess.Popen
    task: JobCommand

    @property
    def code(self) -> int | None:
        """Its exit code, minus the signal that killed it; None while it runs."""
        return self.popen.poll()

    def last_words(self) -> str:
        return self.task.last_words()


class LocalExecutor(Executor):
    """Starts jobs as processes, no more than `size` at a time.

    settings: of their environment.  gpus: that each job is given, where there are any.
    """

    def __init__(self, size: int, devices: GpuPool, settings: Mapping[str, str] | None = None, gpus: int = 1):
        self.size, self.devices, self.settings, self.gpus = size, devices, dict(settings or {}), gpus
        self.running: dict[int, LocalJob] = {}
        self.reserved: GpuLease | None = None
        self.has_told = False  # what it waits for

    def has_room(self) -> bool:
        """Whether a job may start; where there are GPUs, its own are then kept for it."""
        if not super().has_room():
            return False
        if self.devices.names and not self.reserved:
            self.reserved = self.devices.lease(self.gpus)
            if not (self.reserved or self.running or self.has_told):
                log.info("all GPUs are lent to other jobs: this waits for one of them")
                self.has_told = True
        return not self.devices.names or self.reserved is not None

    def keep_nothing(self) -> None:
        """Leaves the GPUs that were kept for a job to others: there is none that could start."""
        if self.reserved:
            self.reserved.close()
            self.reserved = None

    def start(self, number: int, words: Sequence[str], log: Path) -> bool:
        """Starts `ganrun` with these words as job `number`; False where there is no room."""
        if not self.has_room():
            return False
        lease, self.reserved = self.reserved, None
        task = JobCommand.noted(words, log)
        self.running[number] = LocalJob(task.started(self._settings(lease), lease.files if lease else ()), task)
        if lease:
            lease.close()  # the job holds it now
        return True

    def ended(self) -> dict[int, LocalJob]:
        """The jobs that have come to an end since the last call."""
        over = {number: process for number, process in self.running.items() if process.code is not None}
        for number in over:
            del self.running[number]
        return over

    def stop(self) -> dict[int, LocalJob]:
        """Asks all jobs to save and end, and waits for them; whatever cuts that short ends them at once."""
        try:
            for process in self.running.values():
                process.popen.terminate()
            end = time.monotonic() + GRACE_SECONDS
            for process in self.running.values():
                with suppress(subprocess.TimeoutExpired):
                    process.popen.wait(max(0.0, end - time.monotonic()))
        finally:
            for process in self.running.values():
                with suppress(OSError):  # with the ranks that it has started
                    os.killpg(process.popen.pid, signal.SIGKILL)
                process.popen.wait()
            self.keep_nothing()
        return self.ended()

    def _settings(self, lease: GpuLease | None) -> dict[str, str]:
        found = dict(self.settings)
        if self.size > 1 and "OMP_NUM_THREADS" not in os.environ:
            found["OMP_NUM_THREADS"] = str(max(1, cpu_count() // self.size))
        if lease:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(lease.devices)
        return found


def visible_gpus() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    if sys.platform == "linux" and not any(map(os.path.exists, DRIVER_FILES)):
        return []  # without the seconds that it takes to import torch

    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(i) for i in range(count)]

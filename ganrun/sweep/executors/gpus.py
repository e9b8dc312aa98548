"""The GPUs of this machine, leased to the jobs of all sweeps that run on it."""

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import IO

from ganrun.errors import UserError
from ganrun.files import make_own_folder, open_append
from ganrun.sweep.state import flock

DRIVER_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of NVIDIA, AMD, and Windows Subsystem for Linux


@dataclass
class GpuLease:
    """The GPUs of one job, each with a locked file. The system frees a lock when its last holder ends."""

    devices: list[str]
    files: list[IO]

    def close(self) -> None:
        """Give up this process's hold on the locks."""
        for file in self.files:
            file.close()


class GpuPool:
    """The GPUs that jobs may get, each for at most `per_device` jobs of all processes on this machine.

    names: as in CUDA_VISIBLE_DEVICES; if empty, nothing is leased and a job sees the GPUs that this process sees.
    """

    def __init__(self, names: Sequence[str], per_device: int, folder: Path | None = None):
        self.names, self.per_device = names, per_device
        user = os.getuid() if hasattr(os, "getuid") else 0
        self.folder = folder or Path(tempfile.gettempdir()) / f"ganrun-gpus-{user}"

    def lease(self, count: int = 1) -> GpuLease | None:
        """Return a lease of `count` different GPUs, or None if fewer are free."""
        if not make_own_folder(self.folder):
            raise UserError(
                f"{self.folder} is a link or of another user, so it cannot hold the locks of your GPUs. Remove it."
            )
        lease = GpuLease([], [])
        for slot, name in product(range(self.per_device), self.names):
            if len(lease.devices) == count or name in lease.devices:
                continue
            file = open_append(self.folder / f"{name.replace('/', '_')}-{slot}.lock")
            if flock(file, wait=False):
                lease.devices.append(name)
                lease.files.append(file)
            else:
                file.close()
        if len(lease.devices) == count:
            return lease
        lease.close()
        return None


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process sees, as in CUDA_VISIBLE_DEVICES."""
    if sys.platform == "linux" and not any(map(os.path.exists, DRIVER_FILES)):
        return []  # saves the seconds that the import of torch takes

    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(i) for i in range(count)]

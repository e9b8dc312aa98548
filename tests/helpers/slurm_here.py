"""A Slurm that runs on this machine alone, for tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_here.sh"
IS_INSTALLED = all(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("slurmctld", "munged"))
NEEDS_SLURM = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_INSTALLED, reason="Slurm is missing: apt-get install slurm-wlm munge"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can start Slurm"),
]


def needs_slurm(test):
    """Mark one test of a file."""
    for mark in NEEDS_SLURM:
        test = mark(test)
    return test


def output_of(*command) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def running_slurm(folder: Path, monkeypatch) -> Iterator[None]:
    """Run Slurm within the block, with its files in a folder below this one."""
    output_of("bash", SCRIPT, "start", folder / "slurm")
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm" / "slurm.conf"))
    try:
        yield
    finally:
        output_of("bash", SCRIPT, "stop", folder / "slurm")

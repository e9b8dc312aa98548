"""A job of a real Slurm, on this machine alone, that is told that its time is nearly over."""

import sys
from pathlib import Path

import pytest
from helpers.held_run import RUN, Run, assert_same, uninterrupted, until
from helpers.slurm_here import NEEDS_SLURM, output_of, running_slurm

pytestmark = NEEDS_SLURM
JOB = f"#!/bin/bash\nsrun {sys.executable} -m ganrun train {' '.join(RUN)} folder=run resume=true\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    with running_slurm(tmp_path, monkeypatch):
        yield


class Job:
    """The job of a training, in its working folder."""

    def __init__(self, folder: Path):
        self.run = Run(folder)
        self.log = folder / "log"
        (folder / "job.sh").write_text(JOB)
        settings = ["--requeue", f"--chdir={folder}", f"--output={self.log}", "--open-mode=append"]
        self.id = output_of("sbatch", "--parsable", *settings, folder / "job.sh")

    def told(self) -> dict[str, str]:
        """What Slurm tells of it."""
        words = output_of("scontrol", "show", "job", self.id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def until(self, **wanted: str) -> None:
        until(lambda: wanted.items() <= self.told().items(), lambda: f"{self.told()}\n{self.log.read_text()}")


def test_a_job_that_is_told_to_end_is_queued_again_and_finishes_exactly(slurm, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    monkeypatch.setenv("HOLD_AT", "between two turns")
    job = Job(tmp_path)
    until((tmp_path / "held").exists, job.log.read_text)
    output_of("scancel", "--signal=USR1", job.id)
    until(lambda: "SIGUSR1: stopping after this batch" in job.log.read_text(), job.log.read_text)
    (tmp_path / "go").touch()
    job.until(JobState="PENDING", Restarts="1")
    assert job.run.status()["state"] == "interrupted"
    assert job.run.checkpoint()["seen"]["batches"] == 30
    output_of("scontrol", "update", f"JobId={job.id}", "StartTime=now")  # Slurm would wait for two minutes
    job.until(JobState="COMPLETED")
    assert job.run.status()["state"] == "done"
    assert_same(job.run, uninterrupted(tmp_path / "whole"))

"""A job of a real Slurm on this machine that gets the signal before its time limit."""

import sys
from pathlib import Path

import pytest
from helpers.paused_run import TRAIN_ARGS, PausedRun, assert_same, run_uninterrupted, wait_for
from helpers.slurm_here import NEEDS_SLURM, output_of, running_slurm

pytestmark = NEEDS_SLURM
JOB = f"#!/bin/bash\nsrun {sys.executable} -m ganrun train {' '.join(TRAIN_ARGS)} folder=run resume=true\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    with running_slurm(tmp_path, monkeypatch):
        yield


class Job:
    """A Slurm job that trains in this working folder."""

    def __init__(self, folder: Path):
        self.run = PausedRun(folder)
        self.log = folder / "log"
        (folder / "job.sh").write_text(JOB)
        settings = ["--requeue", f"--chdir={folder}", f"--output={self.log}", "--open-mode=append"]
        self.id = output_of("sbatch", "--parsable", *settings, folder / "job.sh")

    def properties(self) -> dict[str, str]:
        """Return what `scontrol show job` prints."""
        words = output_of("scontrol", "show", "job", self.id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for(self, **expected: str) -> None:
        wait_for(
            lambda: expected.items() <= self.properties().items(),
            lambda: f"{self.properties()}\n{self.log.read_text()}",
        )


def test_a_job_near_its_time_limit_is_requeued_and_finishes_exactly(slurm, shared_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    monkeypatch.setenv("PAUSE_AT", "between two players")
    job = Job(tmp_path)
    wait_for((tmp_path / "paused").exists, job.log.read_text)
    output_of("scancel", "--signal=USR1", job.id)
    wait_for(lambda: "SIGUSR1: stopping after this batch" in job.log.read_text(), job.log.read_text)
    (tmp_path / "continue").touch()
    job.wait_for(JobState="PENDING", Restarts="1")
    assert job.run.status()["state"] == "interrupted"
    assert job.run.checkpoint()["seen"]["batches"] == 30
    output_of("scontrol", "update", f"JobId={job.id}", "StartTime=now")  # Slurm would wait for two minutes
    job.wait_for(JobState="COMPLETED")
    assert job.run.status()["state"] == "done"
    assert_same(job.run, run_uninterrupted(tmp_path / "whole"))

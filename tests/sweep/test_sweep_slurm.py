"""Jobs of a sweep in Slurm's queue: a real one, on this machine alone, and what it tells."""

import csv
import subprocess
import sys
import time

import pytest
from slurm_here import NEEDED, said_by, started

from ganrun.errors import UserError
from ganrun.sweep import slurm as slurms
from ganrun.sweep.slurm import Slurm, code_of

TINY = ["data=ring", "batch_size=20", "metrics.samples=50", "logger=none", "log_every=5", "kimg=2"]
SMALL = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "model._target_=mine.Model"]
MINE = """
import os, time
from pathlib import Path

from ganrun.models.gan import GAN


class Model(GAN):
    def discriminator_loss(self, batch):
        if self.batches_seen == 60:
            if self.seed == 1:
                raise RuntimeError("the first one is lost")
            if self.seed == 2 and Path("hold").exists():
                Path("held").touch()
                while Path("hold").exists():
                    time.sleep(0.05)
        return super().discriminator_loss(batch)
"""


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"JobState": "PENDING", "ExitCode": "0:0"}, None),
        ({"JobState": "RUNNING", "ExitCode": "0:0"}, None),
        ({"JobState": "COMPLETING+REQUEUED"}, None),
        ({"JobState": "COMPLETED", "ExitCode": "0:0"}, 0),
        ({"JobState": "FAILED", "ExitCode": "1:0"}, 1),
        ({"JobState": "FAILED", "ExitCode": "0:9"}, -9),
        ({"JobState": "CANCELLED", "ExitCode": "0:15"}, 143),
        ({"JobState": "TIMEOUT", "ExitCode": "0:0"}, 143),
        ({}, 0),
    ],
)
def test_what_slurm_tells_of_a_job_is_understood(facts, code):
    assert code_of(facts) == code


def test_without_slurm_it_is_refused(monkeypatch):
    monkeypatch.setattr(slurms.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"sweep.sbatch=--gpus=1 needs Slurm"):
        Slurm(1, "--gpus=1", {})


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    with started(tmp_path, monkeypatch):
        yield


def marked(test):
    for mark in NEEDED:
        test = mark(test)
    return test


def board(folder):
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def until(holds, seconds=100):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@marked
def test_a_sweep_in_the_queue_with_a_failure_and_a_job_that_is_queued_again_ends_as_one_here(
    slurm, tmp_path, monkeypatch
):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "mine.py").write_text(MINE)
    words = [sys.executable, "-m", "ganrun", "train", "-m", "model=gan", "seed=0,1,2,3,4,5", *TINY, *SMALL]
    here = subprocess.run([*words, "folder=here"], cwd=tmp_path, capture_output=True, text=True)
    assert here.returncode == 1, here.stderr
    (tmp_path / "hold").touch()
    queue = [*words, "folder=queue", "sweep.jobs=6", "sweep.sbatch='--mem=1000'"]
    with subprocess.Popen(queue, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
        until((tmp_path / "held").exists, 200)
        names = dict(line.split() for line in said_by("squeue", "--noheader", "--format=%j %i").splitlines())
        (held,) = (job for name, job in names.items() if name.endswith("-2"))
        said_by("scontrol", "requeue", held)
        (tmp_path / "hold").unlink()
        said, _ = sweep.communicate(timeout=500)
    assert sweep.returncode == 1, said
    assert "1 of 6 jobs failed: 1-seed-1" in said
    told = [
        [row[key] for key in ("seed", "state", "kimg", "score", "mean", "deviation")]
        for row in board(tmp_path / "here")
    ]
    assert [
        [row[key] for key in ("seed", "state", "kimg", "score", "mean", "deviation")]
        for row in board(tmp_path / "queue")
    ] == told
    assert len(told) == 6

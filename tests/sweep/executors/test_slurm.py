"""Sweep jobs by Slurm: a real one that runs on this machine, and its answers."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.slurm_here import needs_slurm, output_of, running_slurm
from helpers.sweeps import read_leaderboard
from helpers.waiting import wait_until

from ganrun.errors import UserError
from ganrun.sweep.executors import slurm as slurm_executor
from ganrun.sweep.executors.base import PROGRAM, ExecutorJob
from ganrun.sweep.executors.slurm import SlurmExecutor, exit_code_of
from ganrun.sweep.state import SweepState

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
def test_exit_codes_are_read_from_slurms_job_states(facts, code):
    assert exit_code_of(facts) == code


def test_sbatch_options_without_slurm_are_refused(monkeypatch):
    monkeypatch.setattr(slurm_executor.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"sweep.sbatch=--gpus=1 needs Slurm"):
        SlurmExecutor(1, {}, "--gpus=1", None)


def test_sbatch_options_that_ganrun_sets_are_refused(monkeypatch):
    monkeypatch.setattr(slurm_executor.shutil, "which", lambda name: name)
    with pytest.raises(UserError, match=r"--job-name=x is set by ganrun; remove it"):
        SlurmExecutor(1, {}, "--gpus=1 --job-name=x", None)


def test_malformed_sbatch_options_are_refused(monkeypatch):
    monkeypatch.setattr(slurm_executor.shutil, "which", lambda name: name)
    with pytest.raises(UserError, match="cannot be parsed: No closing quotation"):
        SlurmExecutor(1, {}, '--comment="x', None)


def test_the_script_of_an_array_gives_each_job_its_arguments_and_its_log(tmp_path):
    """Run by a shell, with an srun that prints its arguments."""
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    words = [["train", "name='a b'", "x=$HOME;ls"], ["train", 'y="c"']]
    logs = [tmp_path / "a log", tmp_path / "b'log"]
    text = slurm_executor.batch_script(
        [ExecutorJob(w, log) for w, log in zip(words, logs, strict=True)], {"GANRUN_SWEEP": "/s p"}
    )
    for place, (asked, log) in enumerate(zip(words, logs, strict=True)):
        path = f"{tmp_path}:{os.environ['PATH']}"
        subprocess.run(
            ["bash"], input=text, text=True, check=True, env={"PATH": path, "SLURM_ARRAY_TASK_ID": str(place)}
        )
        output = log.read_text().splitlines()
        assert output == ["env", "GANRUN_SWEEP=/s p", "PYTHONUNBUFFERED=1", *PROGRAM, *asked]


def test_an_array_is_split_if_its_comment_would_be_too_long(tmp_path, monkeypatch):
    arrays = []

    def run(command, **_):
        if command[0] == "sbatch":
            arrays.append(next(word.partition("=")[2] for word in command if word.startswith("--comment=")))
        return SimpleNamespace(returncode=0, stdout=str(len(arrays)) if command[0] == "sbatch" else "", stderr="")

    monkeypatch.setattr(slurm_executor, "has_slurm", lambda: True)
    monkeypatch.setattr(slurm_executor.subprocess, "run", run)
    monkeypatch.setattr(slurm_executor, "job_info", lambda job: {"JobState": "PENDING"})
    monkeypatch.setattr(slurm_executor, "POLL_SECONDS", 0)
    executor = SlurmExecutor(500, {}, "", SweepState(tmp_path, {}))
    for number in range(500):
        executor.submit(number, ["train"], tmp_path / "logs" / "x.log")
    assert not executor.has_room()
    for _ in range(3):
        assert executor.poll() == {}
    assert max(map(len, arrays)) <= 1000
    assert [int(number) for comment in arrays for number in comment.split(",")] == [*range(500)]
    assert len(executor.jobs) == 500


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    with running_slurm(tmp_path, monkeypatch):
        yield


@needs_slurm
def test_a_sweep_by_slurm_with_a_failed_and_a_requeued_job_has_the_results_of_a_local_one(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "mine.py").write_text(MINE)
    words = [sys.executable, "-m", "ganrun", "train", "-m", "model=gan", "seed=0,1,2,3,4,5", *TINY, *SMALL]
    here = subprocess.run([*words, "folder=here"], cwd=tmp_path, capture_output=True, text=True)
    assert here.returncode == 1, here.stderr
    (tmp_path / "hold").touch()
    queue = [*words, "folder=queue", "sweep.jobs=6", "sweep.sbatch='--mem=1000'"]
    with subprocess.Popen(queue, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
        wait_until((tmp_path / "held").exists, 200)
        (array,) = set(output_of("squeue", "--noheader", "--array", "--format=%F").split())
        output_of("scontrol", "requeue", f"{array}_2")
        (tmp_path / "hold").unlink()
        output, _ = sweep.communicate(timeout=500)
    assert sweep.returncode == 1, output
    assert "1 of 6 jobs failed: 1-seed-1" in output
    expected = [
        [row[key] for key in ("seed", "state", "kimg", "score", "mean", "deviation")]
        for row in read_leaderboard(tmp_path / "here")
    ]
    assert [
        [row[key] for key in ("seed", "state", "kimg", "score", "mean", "deviation")]
        for row in read_leaderboard(tmp_path / "queue")
    ] == expected
    assert len(expected) == 6


@needs_slurm
def test_jobs_that_a_killed_sweep_left_in_the_queue_are_found_again(slurm, tmp_path, monkeypatch):
    """On the two cores or so of a machine not all six run at once: some still wait when the sweep is killed."""
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "mine.py").write_text(MINE)
    words = ["train", "-m", "model=gan", "seed=2,3,4,5,6,7", *TINY, *SMALL, "folder=queue", "sweep.jobs=6"]
    words = [sys.executable, "-m", "ganrun", *words, "sweep.sbatch='--mem=1000 --exclusive'"]
    (tmp_path / "hold").touch()
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as sweep:
        wait_until((tmp_path / "held").exists, 200)
        sweep.kill()
    left = set(output_of("squeue", "--noheader", "--array", "--format=%i").split())
    assert len(left) == 6
    (tmp_path / "hold").unlink()
    fresh = subprocess.run([*words, "sweep.fresh=true"], cwd=tmp_path, capture_output=True, text=True)
    assert fresh.returncode == 2
    assert "jobs of queue are in Slurm's queue. Wait for them, or cancel them: scancel " in fresh.stderr
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in read_leaderboard(tmp_path / "queue")] == ["done"] * 6
    arrays = output_of("scontrol", "--oneliner", "show", "job").splitlines()
    ids = {line.split("ArrayJobId=")[1].split()[0]: line for line in arrays}
    taken = [line for line in arrays if f"ArrayJobId={min(ids, key=int)} " in line]
    assert len(taken) == 6
    assert len(arrays) <= 7  # the one that ran may have been started once more, to find that it is done


@needs_slurm
def test_an_error_of_sbatch_is_shown_and_leaves_no_folder(slurm, tmp_path):
    words = ["train", "-m", "model=gan", "seed=0,1", *TINY, "sweep.sbatch='--partition=nix'", "sweep.jobs=2"]
    done = subprocess.run([sys.executable, "-m", "ganrun", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "sbatch refused a job of the sweep: sbatch: error: invalid partition specified: nix" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"slurm"}

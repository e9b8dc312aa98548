"""The CPU threads of a sweep's jobs do not depend on how many jobs run at the same time."""

import json

import pytest
from helpers.runs import RING, equal, status, weights
from omegaconf import OmegaConf

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.sweep import sweeper
from ganrun.sweep.state import SweepJob, SweepState


@pytest.fixture
def threads(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(sweeper, "visible_gpus", list)
    sweep = SweepState(tmp_path, {})

    def threads(**settings):
        return sweeper.threads_per_job(sweep, OmegaConf.create({"threads": None, "sbatch": None, **settings}))

    threads.sweep = sweep
    return threads


@pytest.mark.parametrize(("inherited", "expected"), [("", 1), ("0", 1), ("abc", 1), ("3", 3), ("4,2", 4)])
def test_a_job_has_the_threads_of_the_command_or_one(threads, monkeypatch, inherited, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", inherited)
    assert threads() == expected
    assert threads(threads=2) == 2


def test_beside_gpus_and_in_slurm_a_job_chooses_itself(threads, monkeypatch):
    assert threads(sbatch="") == 0
    monkeypatch.setattr(sweeper, "visible_gpus", lambda: ["0"])
    assert threads() == 0
    assert threads(threads=2) == 2


def test_a_sweep_keeps_the_threads_that_it_began_with(threads, monkeypatch):
    threads.sweep.threads = 3
    threads.sweep.jobs = [SweepJob(0, 0, {}, 0, "0")]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads() == threads(threads=3) == 3
    with pytest.raises(UserError, match=r"sweep.threads=2, but .* began with 3"):
        threads(threads=2)


@pytest.mark.slow
def test_the_same_point_has_the_same_weights_whatever_number_of_jobs_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    words = ["train", "-m", *RING, "batch_size=512", "network.generator.hidden=[512]", "kimg=2", "seed=1,2"]
    assert main([*words, "folder=one", "sweep.jobs=1"]) == 0
    assert main([*words, "folder=two", "sweep.jobs=2"]) == 0
    assert json.loads((tmp_path / "one" / "sweep.json").read_text())["threads"] == 1
    for name in ("0-seed-1", "1-seed-2"):
        first, second = tmp_path / "one" / name, tmp_path / "two" / name
        assert status(first)["threads"] == status(second)["threads"] == 1
        assert equal(weights(first), weights(second))

"""The number of CPU threads is part of a run: it is recorded, and kept when the run goes on."""

import json
from pathlib import Path

import pytest
import torch
from helpers.runs import RING, equal, load_checkpoint, status, weights

from ganrun.cli.main import main
from ganrun.training.threads import count_running

SPLIT = ["model=gan", "data=ring", "batch_size=512", "network.generator.hidden=[512]", "metrics=none", "logger=none"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(threads, *args):
    torch.set_num_threads(threads)
    assert main([*args]) == 0


def test_a_run_records_its_threads_and_keeps_them(tmp_path, capfd):
    train(2, "train", *SPLIT, "kimg=4", "folder=whole")
    train(2, "train", *SPLIT, "kimg=2", "folder=cut")
    train(1, "resume", "cut", "kimg=4")
    assert "computing with 2 CPU threads instead of 1, as the run began" in capfd.readouterr().err
    assert torch.get_num_threads() == 1
    for name in ("whole", "cut"):
        assert status(tmp_path / name)["threads"] == 2
        assert load_checkpoint(tmp_path / name)["ganrun"]["threads"] == 2
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.slow
def test_more_threads_than_cpus_are_kept_with_a_warning(monkeypatch, capfd):
    monkeypatch.setattr("ganrun.training.threads.cpu_count", lambda: 1)
    train(2, "train", *RING, "folder=run")
    train(1, "resume", "run", "kimg=0.064")
    assert "this machine has only 1 CPUs, so 2 threads are slow" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("threads", "others", "is_said"), [(2, 2, False), (2, 3, True), (4, 0, False), (4, 1, True), (1, 8, False)]
)
def test_a_new_run_on_a_busy_machine_is_told_that_threads_wait(monkeypatch, capfd, threads, others, is_said):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr("ganrun.training.threads.count_running", lambda busy: others + 1)
    train(threads, "train", *RING, "folder=run")
    said = f"other processes keep {others} CPUs of this machine busy. Beside them, {threads} threads"
    assert (said in capfd.readouterr().err) == is_said
    log = Path("run", "train.log")
    assert (log.exists() and said in log.read_text()) == is_said
    train(threads, "resume", "run", "kimg=0.064")
    assert "other processes" not in capfd.readouterr().err


def test_who_runs_is_counted_at_the_quietest_of_a_few_looks(tmp_path, monkeypatch):
    looks = iter(["5/200", "3/200", "4/200", "6/200"])
    busy = tmp_path / "loadavg"
    monkeypatch.setattr(Path, "read_text", lambda path: f"9.0 9.0 9.0 {next(looks)} 1234\n")
    assert count_running(busy) == 3
    monkeypatch.undo()
    assert count_running(busy) == 1  # a system without this file
    busy.write_text("nonsense")
    assert count_running(busy) == 1


@pytest.mark.parametrize("value", [0, -1, 10**6, "2", 1.5])
def test_a_number_of_threads_that_cannot_be_is_ignored_in_a_status(tmp_path, value):
    train(1, "train", *RING, "folder=run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.unlink()
    path = tmp_path / "run" / "status.json"
    path.write_text(json.dumps({**status(tmp_path / "run"), "threads": value, "state": "running"}))
    train(1, "resume", "run")

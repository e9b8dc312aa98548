"""A real training while it runs: it is listed, saves on request, is followed and stopped, and can be resumed."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from helpers.runs import RING, equal, weights
from helpers.waiting import wait_until

from ganrun.cli.main import main
from ganrun.files import cache_dir
from ganrun.training.lock import is_locked
from ganrun.training.runs.registry import REGISTRY
from ganrun.training.runs.removal import foreign_entries

ENDLESS = ["train", *RING, "kimg=100000", "log_every=1"]


@pytest.fixture
def start(warm, tmp_path, monkeypatch):
    """Starts a command in a process of its own, which is killed at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    children = []

    def start(*args):
        with open(tmp_path / f"output{len(children)}", "wb") as file:
            environment = {"GANRUN_CACHE": str(tmp_path / "cache")}
            children.append(warm.server.start([*args], file, environment, cwd=str(tmp_path)))
        return children[-1]

    yield start
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@pytest.fixture
def run(start, tmp_path):
    """The folder of a training that runs."""
    run = tmp_path / "outputs" / "run"
    start(*ENDLESS, "folder=outputs/run")
    metrics = run / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and b"\n" in metrics.read_bytes(), describe=lambda: read(tmp_path / "output0"))
    return run


def read(path):
    return path.read_text(errors="replace")


def status(run):
    return json.loads(read(run / "status.json"))


def test_it_is_listed_with_its_process_its_pace_and_the_time_left(run, capsys):
    wait_until(lambda: read(run / "metrics.jsonl").count("\n") > 20)
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["state"], listed["device"], listed["kimg_limit"]) == ("running", "cpu", 100000)
    assert listed["pid"] == status(run)["pid"]
    assert 0 < listed["kimg"] < 100000
    assert listed["seconds_left"] > 10
    assert main(["status", "outputs/run"]) == 0
    out = capsys.readouterr().out
    assert f"running: process {listed['pid']} on " in out
    assert "checkpoint   ganrun save outputs/run" in out


def test_it_saves_on_request_and_goes_on(run, capsys):
    assert main(["save", "outputs/run", "limit=60"]) == 0
    out, err = capsys.readouterr()
    path = run.parents[1] / out.strip()
    assert path.parent == run / "checkpoints"
    assert torch.load(path, weights_only=True)["seen"]["batches"] > 0
    assert "asking outputs/run for a checkpoint" in err
    images = status(run)["kimg"], read(run / "metrics.jsonl").count("\n")
    wait_until(lambda: read(run / "metrics.jsonl").count("\n") > images[1] + 5)
    assert is_locked(run)
    assert not {".save", ".saving"} & {entry.name for entry in run.iterdir()}


def test_stop_ends_it_and_what_it_saved_can_be_resumed(run, start, capsys):
    assert main(["stop", "outputs/run"]) == 0
    out = capsys.readouterr().out
    assert "outputs/run has ended: interrupted, after " in out
    assert out.rstrip().endswith("To go on: ganrun resume outputs/run")
    assert (status(run)["state"], is_locked(run)) == ("interrupted", False)
    assert f"{json.loads(read(cache_dir() / REGISTRY))['folder']}" == str(run)
    kimg = status(run)["kimg"] + 0.02
    assert start("resume", "outputs/run", f"kimg={kimg:g}").wait() == 0
    assert status(run)["state"] == "done"


def test_its_messages_are_followed_until_it_ends(run, capsys):
    pid = status(run)["pid"]
    end = threading.Timer(0.7, lambda: os.kill(pid, signal.SIGTERM))
    end.start()
    assert main(["logs", "outputs/run", "-f"]) == 0
    end.join()
    out, err = capsys.readouterr()
    assert "SIGTERM: stopping after this batch and saving" in out
    assert "continue with    ganrun resume outputs/run" in out
    assert err.endswith("outputs/run has ended: interrupted\n")


def test_a_killed_training_is_dead_and_no_request_to_it_stays(run, capsys):
    pid = status(run)["pid"]
    os.kill(pid, signal.SIGSTOP)
    kill = threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL))
    kill.start()
    assert main(["save", "outputs/run"]) == 1
    kill.join()
    assert "outputs/run has ended meanwhile. ganrun status outputs/run says how." in capsys.readouterr().err
    assert not (run / ".save").exists()
    assert main(["runs"]) == 0
    assert "1 run: 1 dead" in capsys.readouterr().out


def test_a_save_on_request_changes_nothing_of_the_training(start, tmp_path):
    """Also one that was asked for before the training began, or by a process that is gone."""
    args = ["train", *RING, "kimg=0.4"]
    assert start(*args, "folder=whole").wait() == 0
    asked = start(*args, "folder=asked")
    wait_until(lambda: (tmp_path / "asked").is_dir())
    for name in (".save", ".saving"):
        (tmp_path / "asked" / name).touch()
    assert asked.wait() == 0
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "asked"))
    assert not {".save", ".saving"} & {entry.name for entry in (tmp_path / "asked").iterdir()}


@pytest.mark.parametrize("logger", ["tensorboard", "csv"])
def test_all_that_a_training_leaves_is_removed_with_it(start, tmp_path, logger):
    points = [arg for arg in RING if not arg.startswith("logger=")]
    assert start("train", *points, f"logger={logger}", "profile=true", "folder=run").wait() == 0
    assert foreign_entries(tmp_path / "run") == []
    assert main(["runs", "rm", "run", "--yes"]) == 0
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_ranks_save_on_request_and_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ranks = ["trainer.accelerator=cpu", "trainer.devices=2", "folder=run"]
    command = [sys.executable, "-m", "ganrun", *ENDLESS, *ranks]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    run = tmp_path / "run"
    wait_until(lambda: (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size > 0)
    assert main(["save", "run"]) == 0
    assert (tmp_path / capsys.readouterr().out.strip()).exists()
    assert main(["stop", "run"]) == 0
    assert process.wait(60) == 143

"""The real command refuses what cannot work: one message, exit code 2, no traceback, and nothing is left behind."""

import os
import shlex
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pooch
import pytest
import torch
from helpers import bad_materials
from helpers.refusals import BAD, SLOW, D

from ganrun.cli.main import main

CASES = [
    *(pytest.param(*case, id=case[0]) for case in BAD),
    *(pytest.param(*case, id=case[0], marks=pytest.mark.slow) for case in SLOW),
]
Told = namedtuple("Told", "code out err")


@pytest.fixture(scope="module")
def place(workplace):
    """The folder with the materials, which every command is to leave as it is."""
    bad_materials.write(workplace)
    return workplace


@pytest.fixture
def alone(cli, place, monkeypatch):
    """No network, no GPU, no weights; the working folder is the place of the materials."""

    def fail(*arguments, **options):
        raise OSError("no network")

    monkeypatch.chdir(place)
    monkeypatch.setattr(pooch, "retrieve", fail)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return place


def contents(folder):
    return {path: path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def remove(paths):
    for path in sorted(paths, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def check_refusal(told, parts):
    assert told.code == 2, told.err
    assert told.err.count("ganrun: ") == 1, told.err
    for part in parts:
        assert part in told.err
    for alien in ("Traceback", "Warning", "hydra.cc", "weights_only", "\033"):
        assert alien not in told.err
    assert told.out == ""


def refuse(call, folder, parts):
    before = contents(folder)
    try:
        check_refusal(call(), parts)
        assert contents(folder) == before
    finally:
        remove(set(contents(folder)) - set(before))


@pytest.mark.parametrize(("command", "parts"), CASES)
def test_is_refused_in_one_message_and_nothing_is_written(alone, capfd, command, parts):
    refuse(lambda: Told(main(shlex.split(command)), *capfd.readouterr()), alone, parts)


@pytest.mark.skipif("wandb" in sys.modules or shutil.which("wandb"), reason="wandb is installed")
def test_wandb_that_is_not_installed_is_asked_for_before_training(alone, capfd):
    parts = ["wandb", "pip install"]
    refuse(lambda: Told(main([*shlex.split(D), "logger=wandb"]), *capfd.readouterr()), alone, parts)


@pytest.mark.parametrize("command", [D, "sample cgan", "eval cgan metrics=lenet samples=2"])
def test_a_full_disk_is_refused(alone, capfd, monkeypatch, command):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(5 * 2**20))
    parts = ["5 MiB are free", "200 MiB", "folder="]
    refuse(lambda: Told(main(shlex.split(command)), *capfd.readouterr()), alone, parts)


@pytest.mark.slow
def test_a_sweep_tells_what_is_wrong_with_each_job(alone, capfd):
    before = contents(alone)
    assert main(["train", "-m", "model=dcgan", "data=ring,grid"]) == 2
    err = capfd.readouterr().err
    assert "data=ring gives" in err
    assert "data=grid gives" in err
    assert "2 of 2 jobs failed" in err
    assert contents(alone) == before


SLOWLY = pytest.mark.slow
INSTALLED = [
    pytest.param("trian", ["Did you mean train"]),
    pytest.param("sample cut.ckpt", ["cut.ckpt cannot be read as a checkpoint"]),
    pytest.param("train --config-dir own experiment=broken", ["broken.yaml, line 3, column 1"]),
    pytest.param("train model=dcgan data=ring", ["model=dcgan needs", "Models for data=ring"], marks=SLOWLY),
    pytest.param(f"{D} kimg=-5", ["kimg must be a number above 0, got -5"], marks=SLOWLY),
]


@pytest.mark.parametrize(("command", "parts"), INSTALLED)
def test_the_installed_command_refuses_it_too(alone, command, parts):
    program = Path(sys.executable).with_name("ganrun")
    start = [str(program)] if program.exists() else [sys.executable, "-m", "ganrun"]
    options = {"capture_output": True, "text": True, "cwd": alone, "env": dict(os.environ), "timeout": 60}
    result = subprocess.run([*start, *shlex.split(command)], **options)
    refuse(lambda: Told(result.returncode, result.stdout, result.stderr), alone, parts)

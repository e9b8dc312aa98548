"""Commands that cannot work end with one message and exit code 2, without a traceback, and write nothing."""

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
from ganrun.training.runs.registry import REGISTRY

CASES = [
    *(pytest.param(*case, id=case[0]) for case in BAD),
    *(pytest.param(*case, id=case[0], marks=pytest.mark.slow) for case in SLOW),
]
Result = namedtuple("Result", "code out err")


@pytest.fixture(scope="module")
def bad_files(workplace, shared_cache):
    """The folder with the bad files, which no command may change."""
    bad_materials.write_bad_files(workplace)
    (shared_cache / REGISTRY).unlink(missing_ok=True)  # of the runs that `last` may be
    return workplace


@pytest.fixture
def offline(cli, bad_files, monkeypatch):
    """The folder with the bad files as the working folder, without network, GPU and downloaded weights."""

    def fail(*arguments, **options):
        raise OSError("no network")

    monkeypatch.chdir(bad_files)
    monkeypatch.setattr(pooch, "retrieve", fail)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return bad_files


def contents(folder):
    return {path: path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def remove_paths(paths):
    for path in sorted(paths, reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def check_refusal(result, parts):
    assert result.code == 2, result.err
    assert result.err.count("ganrun: ") == 1, result.err
    for part in parts:
        assert part in result.err
    for unwanted in ("Traceback", "Warning", "hydra.cc", "weights_only", "\033"):
        assert unwanted not in result.err
    assert result.out == ""


def check_refused(call, folder, parts):
    before = contents(folder)
    try:
        check_refusal(call(), parts)
        assert contents(folder) == before
    finally:
        remove_paths(set(contents(folder)) - set(before))


@pytest.mark.parametrize(("command", "parts"), CASES)
def test_a_bad_command_prints_one_message_and_writes_nothing(offline, capfd, command, parts):
    check_refused(lambda: Result(main(shlex.split(command)), *capfd.readouterr()), offline, parts)


@pytest.mark.skipif("wandb" in sys.modules or shutil.which("wandb"), reason="wandb is installed")
def test_a_missing_wandb_is_reported_before_training(offline, capfd):
    parts = ["wandb", "pip install"]
    check_refused(lambda: Result(main([*shlex.split(D), "logger=wandb"]), *capfd.readouterr()), offline, parts)


@pytest.mark.parametrize("command", [D, "sample cgan", "eval cgan metrics=lenet samples=2"])
def test_a_nearly_full_disk_is_refused(offline, capfd, monkeypatch, command):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(5 * 2**20))
    parts = ["5 MiB free", "200 MiB", "folder="]
    check_refused(lambda: Result(main(shlex.split(command)), *capfd.readouterr()), offline, parts)


@pytest.mark.slow
def test_a_sweep_reports_each_value_that_is_refused_before_it_starts(offline, capfd):
    before = contents(offline)
    assert main(["train", "-m", "model=dcgan", "data=ring,grid"]) == 2
    err = capfd.readouterr().err
    assert err.startswith(
        "ganrun: Nothing was started, as data=ring is refused: model=dcgan needs examples (x), as images"
    )
    assert "data=ring gives" in err
    assert "data=grid is refused: model=dcgan needs" in err
    assert "data=grid gives" in err
    assert contents(offline) == before


SLOW_MARK = pytest.mark.slow
INSTALLED = [
    pytest.param("trian", ["Did you mean train"]),
    pytest.param("sample cut.ckpt", ["cut.ckpt cannot be read as a checkpoint"]),
    pytest.param("train --config-dir own experiment=broken", ["broken.yaml, line 3, column 1"]),
    pytest.param("train model=dcgan data=ring", ["model=dcgan needs", "Models for data=ring"], marks=SLOW_MARK),
    pytest.param(f"{D} kimg=-5", ["kimg must be a number above 0, got -5"], marks=SLOW_MARK),
]


@pytest.mark.parametrize(("command", "parts"), INSTALLED)
def test_the_installed_program_prints_the_same_messages(offline, command, parts):
    program = Path(sys.executable).with_name("ganrun")
    start = [str(program)] if program.exists() else [sys.executable, "-m", "ganrun"]
    options = {"capture_output": True, "text": True, "cwd": offline, "env": dict(os.environ), "timeout": 60}
    result = subprocess.run([*start, *shlex.split(command)], **options)
    check_refused(lambda: Result(result.returncode, result.stdout, result.stderr), offline, parts)

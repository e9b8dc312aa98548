"""Two processes that use the same folder."""

import json
import subprocess
import sys
import time

import pytest
from helpers.runs import SHORT, load_checkpoint, status

from ganrun.cli.main import main

TINY = [*SHORT, "kimg=0.2", "checkpoint.kimg=0.04", "metrics=none"]
pytestmark = pytest.mark.slow


def start(*args):
    command = [sys.executable, "-m", "ganrun", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_runs_started_in_the_same_second_get_two_folders(cli):
    both = [start("train", *TINY, "folder=runs/2026-11-21-120000", f"seed={seed}") for seed in (1, 2)]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    runs = sorted((cli.folder / "runs").iterdir())
    assert [run.name for run in runs] == ["2026-11-21-120000", "2026-11-21-120000-2"]
    assert {load_checkpoint(run)["ganrun"]["config"]["seed"] for run in runs} == {1, 2}


def test_a_run_folder_in_use_is_refused_until_its_process_ends_or_is_killed(cli, capsys):
    run, args = cli.folder / "run", [*TINY, "folder=run", "kimg=1000000"]
    first = start("train", *args)
    try:
        while not (run / "checkpoints" / "manifest.json").exists():
            assert first.poll() is None, first.stdout.read()
            time.sleep(0.05)
        for command in (["train", *args, "resume=true"], ["resume", "run"], ["resume", "run", "kimg=1"]):
            assert main(command) == 2
            message = capsys.readouterr().err
            assert f"run is in use by process {first.pid} on " in message
            assert "Wait until that ends, or stop it" in message
        assert main(["train", *args]) == 2
        assert "exists" in capsys.readouterr().err
        assert main(["sample", "run", "n=2", "out=samples"]) == 0
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    assert json.loads((run / ".lock").read_text())["pid"] == first.pid  # a killed process cannot remove it
    assert main(["resume", "run", "kimg=0.02"]) == 0
    assert status(run)["state"] == "done"

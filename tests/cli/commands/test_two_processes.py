"""Two processes that want the same folder."""

import json
import subprocess
import sys
import time

import pytest
from helpers.runs import SHORT, load_checkpoint, status

from ganrun.cli.main import main

TINY = [*SHORT, "kimg=0.2", "checkpoint.kimg=0.04", "metrics=none"]
pytestmark = pytest.mark.slow


def start(*words):
    command = [sys.executable, "-m", "ganrun", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_starts_at_the_same_second_get_two_folders(cli):
    both = [start("train", *TINY, "folder=runs/2026-11-21-120000", f"seed={seed}") for seed in (1, 2)]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    runs = sorted((cli.folder / "runs").iterdir())
    assert [run.name for run in runs] == ["2026-11-21-120000", "2026-11-21-120000-2"]
    assert {load_checkpoint(run)["ganrun"]["config"]["seed"] for run in runs} == {1, 2}


def test_a_folder_in_use_is_refused_until_its_process_is_gone_even_by_a_kill(cli, capsys):
    run, words = cli.folder / "run", [*TINY, "folder=run", "kimg=1000000"]
    first = start("train", *words)
    try:
        while not (run / "checkpoints" / "manifest.json").exists():
            assert first.poll() is None, first.stdout.read()
            time.sleep(0.05)
        for command in (["train", *words, "resume=true"], ["resume", "run"], ["resume", "run", "kimg=1"]):
            assert main(command) == 2
            message = capsys.readouterr().err
            assert f"run is in use by process {first.pid} on " in message
            assert "Wait for it to end, or stop it" in message
        assert main(["train", *words]) == 2
        assert "exists" in capsys.readouterr().err
        assert main(["sample", "run", "n=2", "out=samples"]) == 0
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    assert json.loads((run / ".lock").read_text())["pid"] == first.pid  # it had no time to take its name out
    assert main(["resume", "run", "kimg=0.02"]) == 0
    assert status(run)["state"] == "done"

"""A run that is killed, or whose disk is full, keeps what it has saved and can be resumed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.disks import fill, small_disk
from helpers.runs import SHORT, equal, load_checkpoint, status, weights

from ganrun.cli.main import main
from ganrun.training import checkpoint_io, run_folder
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.samples import Samples

SCRIPT = Path(__file__).parents[3] / "scripts" / "crash_test.py"
OFTEN = [*SHORT, "checkpoint.kimg=0.02", "log_every=1", "validate_kimg=0.1", "pictures_kimg=0.1", "logger=tensorboard"]
WRITERS = {  # method, the call before which the disk fills up, and the bytes that stay free
    "the check before saving": (Checkpointing, "save", 4, 2**19),
    "a save": (Checkpointing, "save", 5, 2**13),
    "the curves": (LossCurves, "_log", 7, 0),
    "the scores": (Evaluation, "_score", 2, 0),
    "the pictures": (Samples, "_write", 2, 0),
    "the end": (Checkpointing, "on_train_end", 1, 0),
}
pytestmark = pytest.mark.slow


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script needs os.fork")
@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_ten_killed_runs_lose_nothing():
    done = subprocess.run([sys.executable, SCRIPT, "--kills", "10"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.strip().splitlines()
    _, kills, *_, intact, equal_runs = (cell.strip() for cell in last.strip("|").split("|"))
    assert kills == "10"
    for cell in (intact, equal_runs):
        part, of, whole = cell.split()
        assert (part, of) == (whole, "of")


@pytest.mark.parametrize("left", [[], [".lock"], [".lock", "config.yaml", "train.log"]])
def test_a_start_that_was_killed_before_it_wrote_anything_can_be_repeated(cli, capsys, left):
    run = cli.folder / "run"
    run.mkdir()
    for name in left:
        (run / name).touch()
    args = ["train", *SHORT, "kimg=0.04", "metrics=none", "folder=run"]
    assert main(args) == 2
    assert "run exists" in capsys.readouterr().err
    assert main([*args, "resume=true"]) == 0
    assert status(run)["state"] == "done"
    (cli.folder / "mine").mkdir()
    (cli.folder / "mine" / "thesis.txt").touch()
    assert main([*args, "resume=true", "folder=mine"]) == 2


@pytest.fixture(scope="module")
def whole(workplace):
    """A run on a disk with enough space."""
    assert main(["train", *OFTEN, "folder=whole"]) == 0
    return workplace / "whole"


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "MIN_FREE", 0)
    monkeypatch.setattr(checkpoint_io, "SPARE", 2**20)
    with small_disk(tmp_path / "disk", 6) as mount:
        yield mount


def fill_up(monkeypatch, disk, owner, name, nth, free):
    """Fill the disk right before the nth call of the method."""
    before, calls = getattr(owner, name), []

    def method(self, *arguments, **settings):
        calls.append(name)
        if len(calls) == nth:
            fill(disk, free)
        return before(self, *arguments, **settings)

    monkeypatch.setattr(owner, name, method)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_ends_the_run_with_a_message_and_resume_continues_when_there_is_space(
    whole, disk, monkeypatch, capfd, writer
):
    if writer == "a save":
        monkeypatch.setattr(checkpoint_io, "check_free_space", lambda *_: None)  # the check found enough space
    run = disk / "run"
    with monkeypatch.context() as patch:
        fill_up(patch, disk, *WRITERS[writer])
        assert main(["train", *OFTEN, f"folder={run}"]) == 1
    message = capfd.readouterr().err
    assert message.count("ganrun: ") == 1
    assert "Traceback" not in message
    assert f"the disk of {run}" in message or f"The disk of {run}" in message
    assert "Earlier checkpoints are intact." in message
    assert f"ganrun resume {run}" in message
    manifest = json.loads((run / "checkpoints" / "manifest.json").read_text())
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {
        "manifest.json",
        manifest["last"],
        manifest["previous"],
    }
    assert not list(run.rglob("*.partial"))
    assert 0 < load_checkpoint(run)["seen"]["images"] <= 400

    (disk / "ballast").unlink()
    assert main(["resume", str(run)]) == 0
    assert equal(weights(run), weights(whole))
    assert status(run)["best"] == status(whole)["best"]


def test_train_and_resume_on_a_full_disk_are_refused_and_change_nothing(whole, disk, monkeypatch, capsys):
    shutil.copytree(whole, disk / "run")
    monkeypatch.setattr(run_folder, "MIN_FREE", 2**20)
    ballast = fill(disk, 0)
    before = {path: path.read_bytes() for path in disk.rglob("*") if path.is_file() and path != ballast}
    assert main(["train", *OFTEN, f"folder={disk}/new"]) == 2
    assert "0 MiB free" in capsys.readouterr().err
    assert main(["resume", f"{disk}/run", "kimg=0.5"]) == 1
    assert f"The disk of {disk}/run is full" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert not (disk / "new").exists()

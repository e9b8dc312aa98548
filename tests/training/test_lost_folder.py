"""Run folders that are removed, unreadable or read-only, before a command and while it works."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.other_user import UID, command_prefix, is_root

ROOT = Path(__file__).resolve().parents[2]
TINY = ["train", "model=gan", "data=ring", "metrics=none", "logger=none", "kimg=0.1", "batch_size=4", "folder=run"]
AWAY = """
import os, shutil
from pytorch_lightning import Callback

class Away(Callback):
    def __init__(self, how):
        self.how = how
    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if model.images_seen == 48:
            if self.how == "removed":
                os.rename("run", "gone")  # at once: checkpoints come and go meanwhile
                shutil.rmtree("gone", ignore_errors=True)
            elif self.how == "closed":
                os.chmod("run", 0o500)
                os.chmod("run/checkpoints", 0o500)
                os.chmod("run/samples", 0o500)
"""


@pytest.fixture
def user():
    """Runs ganrun as a user whom the modes of files bind, in a folder of his own."""
    prefix = command_prefix() if is_root() else []
    folder = Path(tempfile.mkdtemp(prefix="user"))
    if is_root():
        os.chown(folder, UID, UID)
    (folder / "away.py").write_text(AWAY)

    def run(*args: str) -> subprocess.CompletedProcess:
        kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS")}
        env = {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [*prefix, sys.executable, "-m", "ganrun", *args]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)

    yield SimpleNamespace(run=run, folder=folder)
    for path in [folder / "run", *folder.glob("run/*/")]:
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)


def check_failure(result, *parts):
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.count("ganrun: ") == 1
    for part in parts:
        assert part in result.stderr


@pytest.mark.slow
def test_a_run_folder_that_is_removed_midway_is_named(user):
    result = user.run(*TINY, "+callbacks.away._target_=away.Away", "+callbacks.away.how=removed")
    check_failure(result, "run has been removed while the training ran", "Train again")


def test_a_run_folder_that_becomes_read_only_midway_is_named_and_can_be_resumed(user):
    away = ["+callbacks.away._target_=away.Away", "+callbacks.away.how=closed"]
    result = user.run(*TINY, "checkpoint.kimg=0.02", *away)
    check_failure(result, "Permission denied", "intact. Make it writable, then: ganrun resume run")
    for name in ("run", "run/checkpoints", "run/samples"):
        (user.folder / name).chmod(0o700)
    assert user.run("resume", "run", "trust=true", "callbacks.away.how=none").returncode == 0
    assert json.loads((user.folder / "run" / "status.json").read_text())["state"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["checkpoints/manifest.json", ".lock", "checkpoints", ""])
def test_what_cannot_be_read_is_named(user, name):
    assert user.run(*TINY).returncode == 0
    path = user.folder / "run" / name
    path.chmod(0)
    result = user.run("resume", "run", "kimg=0.2")
    path.chmod(0o700)
    assert result.returncode in (1, 2)
    assert result.stderr.count("\n") == 1
    assert "Permission denied" in result.stderr
    assert str(Path("run", name)) in result.stderr

"""Runs of another user: each command says in one message what it may not do."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.other_user import command_prefix, is_root
from helpers.run_folders import Holder, make_run

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(not is_root(), reason="only root can make files of another user")


@pytest.fixture(scope="module")
def place():
    """A folder of root's that others may read, with a live run, one that is done, and one that is closed."""
    folder = Path(tempfile.mkdtemp(prefix="foreign"))
    folder.chmod(0o755)
    (folder / "outputs").mkdir(mode=0o755)
    make_run(folder / "outputs" / "done")
    make_run(folder / "outputs" / "closed").chmod(0o700)
    holder = Holder(make_run(folder / "outputs" / "live", state="running"))
    make_run(folder / "outputs" / "private", state="running")
    shutil.copy(folder / "outputs" / "live" / ".lock", folder / "outputs" / "private" / ".lock")
    (folder / "outputs" / "private" / ".lock").chmod(0o600)
    yield folder
    holder.close()
    shutil.rmtree(folder)


def run_as_other(folder, *args):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*command_prefix(), sys.executable, "-m", "ganrun", *args]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


REFUSED = {
    "status of a closed run": (["status", "outputs/closed"], "outputs/closed cannot be read: Permission denied."),
    "tag": (["runs", "tag", "outputs/done", "a"], "Permission denied"),
    "rm": (["runs", "rm", "outputs/done", "--yes"], "outputs is not writable for you, so outputs/done cannot be"),
    "save": (
        ["save", "outputs/live"],
        "outputs/live cannot be written (Permission denied), so its run cannot be asked",
    ),
    "stop": (["stop", "outputs/live"], "which is in outputs/live, is another user's."),
    "stop without a name": (["stop", "outputs/private"], "It is unknown which process is in outputs/private"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_command_may_not_do_is_said_in_one_message(place, name):
    args, part = REFUSED[name]
    result = run_as_other(place, *args)
    assert result.returncode in (1, 2)
    assert part in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_list_has_what_may_be_read_and_names_what_may_not(place):
    result = run_as_other(place, "runs", "--json")
    assert result.returncode == 0
    states = {Path(run["folder"]).name: run["state"] for run in json.loads(result.stdout)}
    assert states == {"done": "done", "live": "running", "private": "running"}
    assert result.stderr == "ganrun: outputs/closed cannot be listed: Permission denied.\n"

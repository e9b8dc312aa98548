"""Two processes and one run folder."""

import os
import signal
import subprocess
import sys

import pytest

from ganrun.errors import UserError
from ganrun.training.lock import exclusive_lock

HOLDER = """
import sys, time
from pathlib import Path
from ganrun.training.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that is in the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def enter(folder):
    with exclusive_lock(folder):
        pass


def test_a_second_process_is_refused_and_the_owner_is_named(tmp_path, other):
    with pytest.raises(UserError, match=rf"in use by process {other.pid} on "):
        enter(tmp_path)


def test_a_killed_process_holds_no_lock(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    enter(tmp_path)


def test_a_process_that_has_ended_holds_no_lock_and_is_not_named(tmp_path):
    enter(tmp_path)
    assert (tmp_path / ".lock").read_text() == ""
    with exclusive_lock(tmp_path), pytest.raises(UserError, match=f"by process {os.getpid()} on"):
        enter(tmp_path)

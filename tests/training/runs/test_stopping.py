"""SIGTERM reaches the process that holds the lock of the run folder, once, and no other."""

import json
import os
import platform
import signal
import subprocess
import threading
from contextlib import nullcontext

import pytest
from helpers.run_folders import Holder, make_run
from helpers.waiting import wait_until

from ganrun.cli.main import main
from ganrun.training import lock
from ganrun.training.lock import NotOwnerError, exclusive_lock, holds_lock, is_locked, signal_owner, terminate_owner
from ganrun.training.runs.stopping import ask_to_stop


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "run", state="running")


@pytest.fixture
def holder(run):
    holder = Holder(run)
    yield holder
    holder.close()


@pytest.fixture
def bystander():
    """A process of the same user that has nothing to do with the run, and ends by any signal."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_process_that_holds_the_lock_gets_the_signal(run, holder):
    assert signal_owner(run, signal.SIGTERM) == holder.process.pid
    wait_until(lambda: holder.signals == 1)


NAMED = {
    "another process": lambda pid: {"host": platform.node(), "pid": pid},
    "another machine": lambda pid: {"host": "node17", "pid": pid},
    "no process": lambda pid: {"host": platform.node(), "pid": 2**22 - 1},
    "init": lambda pid: {"host": platform.node(), "pid": 1},
    "all processes": lambda pid: {"host": platform.node(), "pid": -1},
    "a group": lambda pid: {"host": platform.node(), "pid": -pid},
    "a text": lambda pid: {"host": platform.node(), "pid": str(pid)},
    "nothing": lambda pid: {},
}


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("is_held", [True, False])
def test_no_process_gets_a_signal_if_the_lock_file_names_another(run, bystander, name, is_held, request, capsys):
    holder = request.getfixturevalue("holder") if is_held else None
    (run / ".lock").write_text(json.dumps(NAMED[name](bystander.pid)))
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "pid": bystander.pid}))
    with pytest.raises(NotOwnerError):
        signal_owner(run, signal.SIGTERM)
    assert not terminate_owner(run)
    assert main(["stop", "run", "limit=0.1"]) == 2
    assert capsys.readouterr().err.count("ganrun: ") == 1
    assert bystander.poll() is None
    assert holder is None or (holder.signals, holder.process.poll()) == (0, None)
    assert not (run / ".stop").exists()


def test_a_process_that_has_only_opened_the_lock_file_does_not_hold_the_lock(run, holder):
    with (run / ".lock").open():
        assert not holds_lock(os.getpid(), run / ".lock")
    assert holds_lock(holder.process.pid, run / ".lock")


def test_where_there_is_no_proc_lsof_tells_who_has_the_file(run, holder, bystander, tmp_path, monkeypatch):
    (tmp_path / "lsof").write_text(f'#!/bin/sh\n[ "$3" = "{run}/.lock" ] && echo {holder.process.pid}\n')
    (tmp_path / "lsof").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(lock, "PROC", tmp_path / "nothing")
    assert holds_lock(holder.process.pid, run / ".lock")
    assert not holds_lock(bystander.pid, run / ".lock")


def test_without_handles_of_processes_the_number_is_used(run, holder, monkeypatch):
    def missing(pid):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    assert signal_owner(run, signal.SIGTERM) == holder.process.pid
    wait_until(lambda: holder.signals == 1)


def test_in_a_container_the_training_may_be_the_first_process(run, holder, monkeypatch):
    (run / ".lock").write_text(json.dumps({"host": platform.node(), "pid": 1}))
    sent = []
    with monkeypatch.context() as patch:
        patch.setattr(lock, "holds_lock", lambda pid, path: pid == 1)
        patch.setattr(lock, "process_handle", lambda pid: nullcontext(None))
        patch.setattr(lock.os, "kill", lambda *signal: sent.append(signal))
        assert signal_owner(run, signal.SIGTERM) == 1
        assert [ask_to_stop(run), ask_to_stop(run)] == [(1, True), (1, False)]
    assert sent == 2 * [(1, signal.SIGTERM)]


def test_who_takes_a_folder_was_never_asked_to_stop_whatever_its_number(run):
    (run / ".stop").write_text(json.dumps({"pid": os.getpid()}))
    with exclusive_lock(run):
        assert not (run / ".stop").exists()


def test_looking_whether_a_folder_is_locked_neither_locks_nor_changes_it(run, holder):
    before = (run / ".lock").read_bytes()
    assert is_locked(run)
    assert (run / ".lock").read_bytes() == before
    holder.close()
    (run / ".lock").chmod(0o400)
    assert not is_locked(run)


def test_stop_waits_until_the_run_has_ended_and_says_how(run, holder, capsys):
    (run / "status.json").write_text(json.dumps({"state": "interrupted", "kimg": 3.5}))
    end = threading.Timer(0.5, holder.let_go)
    end.start()
    assert main(["stop", "run"]) == 0
    end.join()
    out = capsys.readouterr().out
    assert f"Process {holder.process.pid} of run got SIGTERM; it ends after its batch, and saves." in out
    assert "run has ended: interrupted, after 3.5 kimg. To go on: ganrun resume run" in out
    assert not (run / ".stop").exists()


def test_a_run_on_another_machine_that_shares_its_locks_is_to_be_stopped_there(run, holder, capsys):
    (run / ".lock").write_text(json.dumps({"host": "node17", "pid": os.getpid()}))
    assert main(["stop", "run"]) == 2
    assert f"run runs on node17. Stop it there: ganrun stop {run}" in capsys.readouterr().err


def test_a_run_that_ends_before_its_training_begins_is_told_from_one_that_has_saved(run, holder, capsys):
    (run / "status.json").unlink()
    end = threading.Timer(0.5, holder.let_go)
    end.start()
    assert main(["stop", "run"]) == 0
    end.join()
    assert "run has ended before its training began." in capsys.readouterr().out


def test_stop_given_again_only_waits_as_a_second_signal_would_end_it_without_saving(run, holder, capsys):
    for expected in ("got SIGTERM", "was asked to stop before"):
        assert main(["stop", "run", "limit=0.3"]) == 1
        out, err = capsys.readouterr()
        assert expected in out
        assert "run has not ended within 0.3 s" in err
        assert err.rstrip().endswith("To end it at once, without saving: ganrun stop run now=true")
        wait_until(lambda: holder.signals == 1)
    assert main(["stop", "run", "limit=0.3", "now=true"]) == 1
    wait_until(lambda: holder.signals == 2)


def test_a_process_that_was_asked_to_stop_and_was_killed_does_not_keep_the_next_from_being_asked(run, holder):
    assert main(["stop", "run", "limit=0"]) == 1
    wait_until(lambda: holder.signals == 1)
    holder.close()
    again = Holder(run)
    assert main(["stop", "run", "limit=0"]) == 1
    wait_until(lambda: again.signals == 2)
    again.close()


@pytest.mark.parametrize(
    "command", [["stop", "run", "now=yes"], ["runs", "rm", "run", "all=1"], ["compare", "run", "trust=on"]]
)
def test_a_setting_that_is_true_or_false_is_nothing_else(run, holder, command, capsys):
    assert main(command) == 2
    key, value = command[-1].split("=")
    assert f"{key} must be true or false, got {value}." in capsys.readouterr().err
    assert holder.signals == 0


@pytest.mark.parametrize("limit", ["soon", "-1", "nan", "inf", ""])
def test_a_limit_is_a_number_of_seconds(run, holder, limit, capsys):
    assert main(["stop", "run", f"limit={limit}"]) == 2
    assert f"limit must be a number of seconds, got {limit}. For example: limit=300" in capsys.readouterr().err
    assert holder.signals == 0


def test_a_run_that_was_killed_is_reported_as_such(run, holder, capsys):
    holder.process.kill()
    holder.process.wait()
    assert main(["stop", "run"]) == 2
    assert "its process was killed, as nobody holds its lock. To go on: ganrun resume run" in capsys.readouterr().err


@pytest.mark.skipif(not lock.PROC.exists(), reason="only /proc tells which files a process has open")
def test_a_run_whose_lock_file_was_removed_is_not_taken_for_dead(run, holder, capsys):
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "pid": holder.process.pid}))
    (run / ".lock").unlink()
    assert main(["runs", "rm", "run", "--yes"]) == 2
    assert "run is running. Stop it first" in capsys.readouterr().err
    assert main(["stop", "run"]) == 2
    assert "It is unknown which process is in run: .lock there does not say so." in capsys.readouterr().err
    holder.close()
    assert main(["runs", "rm", "run", "--yes"]) == 0

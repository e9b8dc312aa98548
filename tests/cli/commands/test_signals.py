"""Signals to the real command at chosen points: its exit code, what it saves, and exact resuming."""

import json
import os
import pty
import select
import signal
import sys
import time

import pytest
from helpers.paused_run import TRAIN_ARGS, PausedRun, assert_same, run_uninterrupted

pytestmark = pytest.mark.slow

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
FINISHED = [("before the step", TERM), ("before the step", INT), ("between two players", INT), ("saving", TERM)]
FINISHED += [("before the step", HUP), ("saving", HUP)]
DROPPED = [("scores", TERM), ("pictures", INT), ("final scores", TERM), ("scores", HUP)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(shared_cache))
        return run_uninterrupted(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def paused(tmp_path, shared_cache, monkeypatch):
    """Starts a run and waits until it pauses at the point."""
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    run = PausedRun(tmp_path)

    def paused(point, *args):
        run.train(point, *args)
        run.wait_until_paused()
        return run

    yield paused
    if run.process.poll() is None:
        run.process.kill()
        run.process.communicate()


@pytest.mark.parametrize(("point", "signum"), FINISHED)
def test_a_signal_during_training_finishes_the_batch_and_resume_is_exact(paused, whole, point, signum):
    run = paused(point)
    run.send(signum)
    run.unpause()
    assert_ended(run, signum)
    if point != "saving":
        assert run.checkpoint()["seen"]["batches"] == 30  # both players were trained on it
    run.resume()
    assert_same(run, whole)


@pytest.mark.parametrize(("point", "signum"), DROPPED)
def test_a_signal_during_scores_or_samples_stops_them_and_resume_is_exact(paused, whole, point, signum):
    run = paused(point)
    run.send(signum)
    assert_ended(run, signum)
    run.resume()
    assert_same(run, whole)


@pytest.mark.parametrize(("point", "second"), [("between two players", INT), ("saving", TERM)])
def test_a_second_signal_ends_the_run_at_once_and_resume_is_exact(paused, whole, point, second):
    run = paused(point)
    run.send(TERM)
    before = time.monotonic()
    run.process.send_signal(second)
    assert run.wait() == 128 + second
    assert time.monotonic() - before < 2
    assert run.status()["state"] == "running"  # the process had no time to update it
    assert run.curves().Tags()
    run.resume()
    assert_same(run, whole)


def test_a_signal_to_one_rank_stops_both_after_the_same_batch(paused, tmp_path):
    args = ["trainer.accelerator=cpu", "trainer.devices=2"]
    run = paused("before the step", *args)
    run.process.send_signal(TERM)  # the other rank is paused, and this one waits for it
    run.unpause()
    assert_ended(run, TERM)
    assert run.stderr.count("ganrun resume run") == 1  # printed only by the first rank
    run.resume()
    assert_same(run, run_uninterrupted(tmp_path / "whole", *args))


@pytest.mark.parametrize("signum", [TERM, HUP])
def test_a_signal_ends_a_sweep(paused, signum):
    run = paused("scores", "-m", "seed=1,2")
    run.send(signum)
    if signum == HUP:
        run.process.send_signal(HUP)  # as a terminal does; it does not kill the jobs
    assert run.wait() == 128 + signum
    assert {path.name for path in run.path.iterdir() if path.is_dir()} == {"0-seed-1", "logs", ".runners"}
    content = json.loads((run.path / "sweep.json").read_text())
    assert [job["state"] for job in content["jobs"]] == ["interrupted", "waiting"]


@pytest.mark.parametrize("args", [[], ["-m", "seed=1"]])
def test_under_nohup_a_run_and_a_sweep_go_on_when_the_terminal_closes(paused, monkeypatch, args):
    before = signal.signal(HUP, signal.SIG_IGN)  # inherited
    try:
        run = paused("before the step", *args)
    finally:
        signal.signal(HUP, before)
    run.process.send_signal(HUP)
    run.unpause()
    assert run.wait() == 0, run.stderr
    assert "SIGHUP" not in run.stderr


@pytest.mark.parametrize("is_ignored", [False, True])
def test_a_training_outlives_the_terminal_that_shows_its_progress(tmp_path, shared_cache, monkeypatch, is_ignored):
    """Closing a terminal sends SIGHUP, more than once, and is an error for whoever writes to it."""
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    run = PausedRun(tmp_path)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        signal.signal(HUP, signal.SIG_IGN if is_ignored else signal.SIG_DFL)
        os.environ |= {"PAUSE_AT": "before the step", "OMP_NUM_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "ganrun", "train", *TRAIN_ARGS, "folder=run"])
    output = b""
    while not (tmp_path / "paused").exists():
        if select.select([terminal], [], [], 0.1)[0]:
            output += os.read(terminal, 10_000)
    os.close(terminal)
    os.kill(pid, HUP)
    run.unpause()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert b"kimg" in output  # the progress line
    assert code == (0 if is_ignored else 129)
    assert run.status()["state"] == ("done" if is_ignored else "interrupted")
    assert run.checkpoint()["seen"]["batches"] == (50 if is_ignored else 30)


def assert_ended(run: PausedRun, signum: int):
    """Assert exit code, status and message of an interrupted run, and that its last batch was saved."""
    assert run.wait() == 128 + signum
    assert f"interrupted by {signal.Signals(signum).name}" in run.stderr
    assert "ganrun resume run" in run.stderr
    assert run.status()["state"] == "interrupted"
    assert run.checkpoint()["seen"]["images"] == 1000 * run.status()["kimg"]
    assert run.curves().Scalars("train/generator/loss")

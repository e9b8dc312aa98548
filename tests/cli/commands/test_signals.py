"""Signals to the real command at chosen moments: how it ends, what it leaves, and that resume goes on exactly."""

import json
import signal
import time

import pytest
from helpers.held_run import Run, assert_same, uninterrupted

pytestmark = pytest.mark.slow

TERM, INT = signal.SIGTERM, signal.SIGINT
FINISHED = [("before the turns", TERM), ("before the turns", INT), ("between two turns", INT), ("saving", TERM)]
DROPPED = [("scores", TERM), ("pictures", INT), ("final scores", TERM)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, shared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(shared_cache))
        return uninterrupted(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def held(tmp_path, shared_cache, monkeypatch):
    """Starts a run and waits until it holds at the moment."""
    monkeypatch.setenv("GANRUN_CACHE", str(shared_cache))
    run = Run(tmp_path)

    def held(moment, *words):
        run.train(moment, *words)
        run.wait_for_the_moment()
        return run

    yield held
    if run.process.poll() is None:
        run.process.kill()
        run.process.communicate()


@pytest.mark.parametrize(("moment", "signum"), FINISHED)
def test_a_signal_in_training_has_the_batch_finished_and_resume_goes_on_exactly(held, whole, moment, signum):
    run = held(moment)
    run.send(signum)
    run.go()
    assert_ended(run, signum)
    if moment != "saving":
        assert run.checkpoint()["seen"]["batches"] == 30  # both players had their turns
    run.resume()
    assert_same(run, whole)


@pytest.mark.parametrize(("moment", "signum"), DROPPED)
def test_a_signal_in_work_beside_the_training_ends_it_and_resume_makes_up_for_it(held, whole, moment, signum):
    run = held(moment)
    run.send(signum)
    assert_ended(run, signum)
    run.resume()
    assert_same(run, whole)


@pytest.mark.parametrize(("moment", "second"), [("between two turns", INT), ("saving", TERM)])
def test_a_second_signal_ends_the_run_at_once_and_harms_nothing(held, whole, moment, second):
    run = held(moment)
    run.send(TERM)
    before = time.monotonic()
    run.process.send_signal(second)
    assert run.code() == 128 + second
    assert time.monotonic() - before < 2
    assert run.status()["state"] == "running"  # it had no time to tell
    assert run.curves().Tags()
    run.resume()
    assert_same(run, whole)


def test_two_ranks_stop_at_the_same_batch_by_a_signal_to_one_of_them(held, tmp_path):
    words = ["trainer.accelerator=cpu", "trainer.devices=2"]
    run = held("before the turns", *words)
    run.process.send_signal(TERM)  # the other holds, and this one waits for it, deaf until it comes
    run.go()
    assert_ended(run, TERM)
    assert run.said.count("ganrun resume run") == 1  # by the first rank alone
    run.resume()
    assert_same(run, uninterrupted(tmp_path / "whole", *words))


def test_a_signal_ends_a_sweep(held):
    run = held("scores", "-m", "seed=1,2")
    run.send(TERM)
    assert run.code() == 143
    assert {path.name for path in run.path.iterdir() if path.is_dir()} == {"0-seed-1", "logs", ".runners"}
    told = json.loads((run.path / "sweep.json").read_text())
    assert [job["state"] for job in told["jobs"]] == ["interrupted", "waiting"]


def assert_ended(run: Run, signum: int):
    """With its exit code, status and message, and all that it has seen saved."""
    assert run.code() == 128 + signum
    assert f"interrupted by {signal.Signals(signum).name}" in run.said
    assert "ganrun resume run" in run.said
    assert run.status()["state"] == "interrupted"
    assert run.checkpoint()["seen"]["images"] == 1000 * run.status()["kimg"]
    assert run.curves().Scalars("train/generator/loss")

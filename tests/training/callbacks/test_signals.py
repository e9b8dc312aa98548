"""When a training that gets a signal stops, what it does before, and with what it ends."""

import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from helpers.model_training import SMALL, job_of, train
from helpers.signalled import EXPECTED, World

from ganrun.errors import Interrupted
from ganrun.training.callbacks.signals import Signals


@pytest.mark.parametrize("signum", EXPECTED)
def test_the_batch_is_finished_and_saved(world, signum, caplog):
    error = world.interrupted(world.batch, signum)
    assert (world.saved, error.exit_code, str(error)) == ([2], 128 + signum, f"interrupted by {signum.name}")
    assert caplog.messages == [f"{signum.name}: stopping after this batch and saving; a second signal stops at once"]


def test_without_a_signal_nothing_is_saved_and_the_handlers_of_before_come_back(world):
    before = [signal.getsignal(signum) for signum in EXPECTED]
    world.train(world.batch, world.end)
    assert (world.saved, [signal.getsignal(signum) for signum in EXPECTED]) == ([], before)


def test_handlers_that_lightning_puts_in_between_are_replaced(world):
    with world.signals.caught():
        signal.signal(signal.SIGTERM, lambda *_: None)
        world.start()
        assert signal.getsignal(signal.SIGTERM) == world.signals._handle


def test_before_there_is_something_to_save_a_signal_ends_it_at_once(world):
    reached = []

    def build():
        with world.signals.caught():
            reached.append(signal.raise_signal(signal.SIGTERM))

    with pytest.raises(Interrupted, match="SIGTERM"):
        build()
    assert (world.saved, reached) == ([], [])


def test_a_signal_that_comes_when_all_is_done_ends_the_sweep_but_not_the_work(world):
    done = []
    error = world.interrupted(
        world.batch, world.end, lambda: signal.raise_signal(signal.SIGTERM), lambda: done.append("status")
    )
    assert (error.exit_code, done) == (143, ["status"])


@pytest.mark.parametrize("signum", EXPECTED)
def test_an_ignored_signal_stays_ignored(world, signum):
    signal.signal(signum, signal.SIG_IGN)
    world.train(signum)
    assert (world.saved, signal.getsignal(signum)) == ([], signal.SIG_IGN)


@pytest.mark.parametrize(
    ("signums", "last"),
    [
        ((signal.SIGHUP, signal.SIGHUP, signal.SIGHUP), signal.SIGHUP),
        ((signal.SIGHUP, signal.SIGTERM, signal.SIGHUP), signal.SIGTERM),
        ((signal.SIGTERM, signal.SIGHUP), signal.SIGTERM),
    ],
)
def test_a_terminal_that_closes_sends_several_signals_and_the_batch_is_still_saved(world, signums, last):
    assert world.interrupted(world.batch, lambda: world.batch(*signums)).exit_code == 128 + last
    assert world.saved == [2]


def test_before_there_is_something_to_save_a_terminal_that_closes_interrupts_once(world):
    def build():
        with world.signals.caught():
            try:
                signal.raise_signal(signal.SIGHUP)
            finally:
                signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted, match="SIGHUP"):
        build()


def test_outside_the_main_thread_the_handlers_are_left_alone(world):
    before, found = signal.getsignal(signal.SIGTERM), []
    thread = threading.Thread(target=world.train, args=[lambda: found.append(signal.getsignal(signal.SIGTERM))])
    thread.start()
    thread.join()
    assert found == [before]


def test_sigusr1_is_taken_under_slurm_only(world, monkeypatch):
    before = signal.getsignal(signal.SIGUSR1)
    with world.signals.caught():
        assert signal.getsignal(signal.SIGUSR1) == before
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with world.signals.caught():
        assert signal.getsignal(signal.SIGUSR1) == world.signals._handle


# ---- work beside the training ----------------------------------------------------------------------------------------


def test_work_beside_the_training_is_dropped_as_soon_as_a_signal_comes(world):
    reached = []

    def score():
        reached.append("begun")
        signal.raise_signal(signal.SIGTERM)
        reached.append("went on")

    found = []
    world.interrupted(lambda: found.append(world.signals.unless_stopped(score)), world.batch)
    assert (reached, found, world.saved) == (["begun"], [None], [1])


def test_work_after_the_signal_is_not_begun(world):
    world.interrupted(
        lambda: signal.raise_signal(signal.SIGTERM), lambda: world.signals.unless_stopped(lambda: 1 / 0), world.batch
    )
    assert world.saved == [1]


def test_work_that_no_signal_interrupts_gives_its_result_or_its_error(world):
    assert world.signals.unless_stopped(lambda: {"val/fid": 1.0}) == {"val/fid": 1.0}
    with pytest.raises(ZeroDivisionError):
        world.signals.unless_stopped(lambda: 1 / 0)
    world.interrupted(signal.SIGTERM)  # is noted again, not raised
    assert world.saved == [1]


def test_final_scores_that_were_dropped_make_the_end_an_interruption(world):
    def score():
        world.signals.unless_stopped(lambda: signal.raise_signal(signal.SIGINT))

    assert world.interrupted(world.batch, score, world.end).exit_code == 130


def signalled_at(step):
    """unless_stopped with a signal at that opcode of its own: (world, result, whether there is such an opcode)."""
    world, steps = World(), []

    def trace(frame, event, _):
        if frame.f_code is Signals.unless_stopped.__code__:
            frame.f_trace_opcodes = True
            steps.append(event)
            if len(steps) == step:
                signal.raise_signal(signal.SIGTERM)
        return trace

    world.signals._set_handlers()
    world.start()
    sys.settrace(trace)
    try:
        result = world.signals.unless_stopped(lambda: "done")
    finally:
        sys.settrace(None)
    return world, result, len(steps) >= step


def test_wherever_in_it_the_signal_comes_the_work_is_done_or_reported_as_dropped():
    for step in range(1, 1000):
        world, result, is_reached = signalled_at(step)
        assert result in (None, "done")
        assert (world.signals.has_dropped, world.signals.is_droppable) == (result is None, False)
        if not is_reached:
            break
    assert 20 < step < 999
    assert (result, world.signals.signum) == ("done", None)


# ---- a second signal -------------------------------------------------------------------------------------------------

TWICE = """
import os, signal, sys
from types import SimpleNamespace
from ganrun.training.callbacks.signals import Signals

launcher = SimpleNamespace(kill=lambda signum: os.write(1, b"others killed "))
signals = Signals(1)
with signals.caught():
    signals.on_train_start(SimpleNamespace(world_size=2, strategy=SimpleNamespace(launcher=launcher)), None)
    signal.raise_signal(signal.SIGTERM)
    try:
        signal.raise_signal(signal.{second})
    finally:
        os.write(1, b"went on")
"""


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_and_those_that_it_started_at_once(second):
    program = [sys.executable, "-c", textwrap.dedent(TWICE.format(second=second.name))]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout) == (128 + second, "others killed "), ended.stderr


# ---- a real training -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
def test_all_players_have_had_their_turns_when_a_real_training_is_saved():
    job = job_of(*SMALL["wgan"], "model.n_critic=2", "batch_size=4")
    found, calls = [], []
    signals = Signals(every=1)
    signals.save = lambda trainer, model: found.append((model.batches_seen, calls[-1]))
    turn = job.model.take_turn

    def signalled(player, *arguments):
        if job.model.batches_seen == 3 and player.name == job.model._players[0].name:
            signal.raise_signal(signal.SIGTERM)
        terms = turn(player, *arguments)
        calls.append(player.name)
        return terms

    job.model.take_turn = signalled
    with pytest.raises(Interrupted), signals.caught():
        train(job, 8, signals)
    assert found == [(4, job.model._players[-1].name)]

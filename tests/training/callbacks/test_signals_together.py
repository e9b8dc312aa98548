"""Signals where a training is not alone: in Slurm's queue, and of several ranks."""

import os
import signal
from types import SimpleNamespace

import pytest
from helpers.signalled import World

from ganrun.training.callbacks import signals


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A `scontrol` that notes its words; .fail makes it refuse."""
    noted = tmp_path / "noted"
    program = tmp_path / "scontrol"
    text = '#!/bin/sh\necho "$*" >> {}\n{}'
    program.write_text(text.format(noted, ""))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    return SimpleNamespace(
        words=lambda: noted.read_text().splitlines() if noted.exists() else [],
        fail=lambda: program.write_text(text.format(noted, 'echo "Invalid job id specified" >&2; exit 1')),
    )


def test_sigusr1_saves_and_queues_the_job_again(world, scontrol):
    assert world.interrupted(signal.SIGUSR1).exit_code == 138
    assert (world.saved, scontrol.words()) == ([1], ["requeue 12"])


def test_a_job_of_an_array_is_queued_again_for_itself(world, scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "10")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    world.interrupted(signal.SIGUSR1)
    assert scontrol.words() == ["requeue 10_3"]


def test_sigterm_under_slurm_queues_nothing(world, scontrol):
    assert world.interrupted(signal.SIGTERM).exit_code == 143
    assert scontrol.words() == []


def test_a_refusal_by_slurm_is_logged_in_a_line(world, scontrol, caplog):
    scontrol.fail()
    assert world.interrupted(signal.SIGUSR1).exit_code == 138
    assert caplog.messages[-1] == "Slurm cannot start job 12 again: Invalid job id specified"


def test_a_slurm_without_scontrol_is_logged_in_a_line(world, monkeypatch, caplog):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("PATH", "/nowhere")
    world.interrupted(signal.SIGUSR1)
    assert "cannot start job 12 again" in caplog.messages[-1]
    assert "scontrol" in caplog.messages[-1]


def test_a_disk_that_is_full_queues_nothing(world, scontrol):
    def full(trainer, model):
        raise OSError("full")

    world.signals.save = full
    with pytest.raises(OSError, match="full"):
        world.train(signal.SIGUSR1)
    assert scontrol.words() == []


# ---- several ranks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def highest(monkeypatch):
    """What the ranks agree on; .calls counts how often."""
    found = SimpleNamespace(other=0, calls=0)

    def highest(signum, device):
        found.calls += 1
        return max(signum, found.other)

    monkeypatch.setattr(signals, "highest_signal", highest)
    return found


def test_ranks_ask_each_other_every_so_many_batches(highest):
    world = World(world_size=2, every=5)
    world.train(*14 * [world.batch])
    assert highest.calls == 2


def test_a_rank_stops_by_the_signal_of_another_at_the_common_batch(highest):
    world = World(world_size=2, every=5)
    error = world.interrupted(world.batch, lambda: setattr(highest, "other", signal.SIGTERM), *9 * [world.batch])
    assert (world.saved, error.exit_code) == ([5], 143)


def test_only_the_first_rank_ends_with_the_exit_code(highest):
    world = World(world_size=2, rank=1)
    assert world.interrupted(signal.SIGTERM).exit_code == 0


def test_what_ranks_do_together_is_done_to_its_end(highest):
    world, found = World(world_size=2), []
    world.interrupted(
        lambda: signal.raise_signal(signal.SIGTERM),
        lambda: found.append(world.signals.unless_stopped(lambda: "scores")),
        world.batch,
    )
    assert (found, world.saved) == (["scores"], [1])

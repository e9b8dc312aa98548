"""Asking a training for a checkpoint: it looks once a second, and answers when the file is on disk."""

import json
import os
import signal
from types import SimpleNamespace

import pytest
from helpers.signalled import World

from ganrun.cli.commands import save
from ganrun.errors import UserError
from ganrun.training.callbacks import signals
from ganrun.training.manifest import Manifest
from ganrun.training.runs import save_request
from ganrun.training.runs.save_request import SaveRequests, is_answered, request_save, withdraw_request


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0, looks=0)
    original = os.path.lexists

    def look(path):
        clock.looks += 1
        return original(path)

    monkeypatch.setattr(save_request.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(save_request.os.path, "lexists", look)
    return clock


def test_between_two_looks_the_disk_is_left_alone(tmp_path, clock):
    requests, found = SaveRequests(tmp_path), []
    for _ in range(1000):
        found.append(requests.is_waiting())
        clock.now += 0.0025
    assert (clock.looks, any(found)) == (3, False)
    (tmp_path / ".save").touch()
    clock.now += 1
    assert requests.is_waiting()


def test_a_request_is_answered_once_its_state_is_on_disk(tmp_path):
    requests = SaveRequests(tmp_path)
    request_save(tmp_path)
    requests.take()
    assert not is_answered(tmp_path)
    request_save(tmp_path)  # another, for a later state
    requests.answer()
    assert not is_answered(tmp_path)
    requests.take()
    requests.answer()
    assert is_answered(tmp_path)


def test_without_a_request_there_is_nothing_to_answer(tmp_path):
    requests = SaveRequests(tmp_path)
    requests.take()
    requests.answer()
    withdraw_request(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_request_that_another_withdraws_is_made_again_and_only_a_new_checkpoint_counts(tmp_path, monkeypatch):
    (tmp_path / "checkpoints").mkdir()
    manifest, found = tmp_path / "checkpoints" / "manifest.json", []
    manifest.write_text(json.dumps({"last": "kimg1.ckpt"}))

    def pause(seconds):
        found.append((tmp_path / ".save").exists())
        if len(found) == 3:
            manifest.write_text(json.dumps({"last": "kimg2.ckpt"}))  # the training has saved
        withdraw_request(tmp_path)

    monkeypatch.setattr(save, "time", SimpleNamespace(monotonic=lambda: 0, sleep=pause))
    before = Manifest.read(manifest.parent)
    request_save(tmp_path)
    assert save.wait_for_answer(tmp_path, 1, is_here=False, before=before)
    assert found == [True, True, True]


def test_a_request_is_not_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".save").symlink_to(tmp_path / "mine")
    request_save(tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"
    with pytest.raises(UserError, match="cannot be written"):
        request_save(tmp_path / "mine")


# ---- in a training ---------------------------------------------------------------------------------------------------


class Asked(World):
    """A training that is asked for a checkpoint in the batches of these numbers."""

    def __init__(self, *batches, **options):
        super().__init__(**options)
        self.checkpoints = []
        is_waiting = lambda: self.model.batches_seen in batches  # noqa: E731
        save = lambda trainer, model: self.checkpoints.append(model.batches_seen)  # noqa: E731
        self.signals.checkpointing = SimpleNamespace(requests=SimpleNamespace(is_waiting=is_waiting), save=save)


@pytest.fixture(autouse=True)
def handlers():
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_it_saves_after_the_batch_and_goes_on():
    world = Asked(2, 4)
    world.train(*5 * [world.batch])
    assert (world.checkpoints, world.saved) == ([2, 4], [])


def test_a_signal_comes_before_a_request():
    world = Asked(1, 2, 3)
    assert world.interrupted(world.batch, lambda: world.batch(signal.SIGTERM)).exit_code == 143
    assert (world.checkpoints, world.saved) == ([1], [2])


@pytest.mark.parametrize(("other", "saves"), [(0, []), (signals.SAVE, [1, 2, 3])])
def test_ranks_save_together_if_one_of_them_is_asked(monkeypatch, other, saves):
    monkeypatch.setattr(signals, "highest_signal", lambda asked, device: max(asked, other))
    world = Asked(world_size=2)
    world.train(*3 * [world.batch])
    assert world.checkpoints == saves

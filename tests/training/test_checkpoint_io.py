"""How a checkpoint comes to the disk, and what is there when it does not."""

import hashlib
import os
import threading
from functools import partial

import pytest
import torch
from helpers.disks import fill, small_disk

from ganrun.errors import Failure
from ganrun.files import sha256_of_file
from ganrun.training import checkpoint_io
from ganrun.training.checkpoint_io import DurableIO, write_checkpoint

MIB = 2**20


def content(value=1.0, numbers=1000):
    return {"state_dict": {"w": torch.full((numbers,), value)}, "seen": {"images": 3}}


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the system, in order."""
    calls = []

    def noted(module, name, describe):
        before = getattr(module, name)

        def call(*arguments):
            calls.append(describe(*arguments))
            return before(*arguments)

        monkeypatch.setattr(module, name, call)

    noted(os, "fsync", lambda handle: ("fsync", os.readlink(f"/proc/self/fd/{handle}").rsplit("/", 1)[-1]))
    noted(os, "replace", lambda old, new: ("replace", old.name, new.name))
    noted(checkpoint_io, "verify_archive", lambda path: ("read", path.name))
    return calls


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="handles have no names here")
def test_a_file_is_flushed_and_read_back_before_it_gets_its_name_and_the_name_is_flushed_too(tmp_path, calls):
    write_checkpoint(content(), tmp_path / "a.ckpt")
    beside = ".a.ckpt.partial"
    assert calls == [("fsync", beside), ("read", beside), ("replace", beside, "a.ckpt"), ("fsync", tmp_path.name)]


def test_the_digest_is_that_of_the_file_and_the_content_comes_back(tmp_path):
    path = tmp_path / "a.ckpt"
    digest = write_checkpoint(content(2.5), path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest() == sha256_of_file(path)
    result = DurableIO().load_checkpoint(path)
    assert torch.equal(result["state_dict"]["w"], content(2.5)["state_dict"]["w"])
    assert result["seen"] == {"images": 3}


def test_what_changes_after_the_call_is_not_what_is_written(tmp_path):
    io, saved = DurableIO(), content()
    io.save_checkpoint(saved, tmp_path / "a.ckpt")
    saved["state_dict"]["w"].fill_(9)
    io.wait()
    assert torch.equal(io.load_checkpoint(tmp_path / "a.ckpt")["state_dict"]["w"], content()["state_dict"]["w"])


def test_saves_are_written_one_at_a_time_and_each_reports_its_digest(tmp_path, monkeypatch):
    io, at_work, written, before = DurableIO(), [], {}, checkpoint_io.write_checkpoint

    def slow(*arguments):
        at_work.append(threading.current_thread())
        assert len(at_work) == 1
        digest = before(*arguments)
        at_work.pop()
        return digest

    monkeypatch.setattr(checkpoint_io, "write_checkpoint", slow)
    for name in "abc":
        io.save_checkpoint(content(), tmp_path / name, partial(written.__setitem__, name))
    io.wait()
    assert list(written.items()) == [(name, sha256_of_file(tmp_path / name)) for name in "abc"]


def test_what_goes_wrong_in_the_thread_is_raised_by_the_next_save_once(tmp_path):
    io = DurableIO()
    io.save_checkpoint(content(), tmp_path / "nowhere" / "a.ckpt")
    with pytest.raises(FileNotFoundError):
        io.save_checkpoint(content(), tmp_path / "b.ckpt")
    io.save_checkpoint(content(), tmp_path / "c.ckpt")
    io.teardown()
    assert [path.name for path in tmp_path.iterdir()] == ["c.ckpt"]


def test_a_file_that_does_not_hold_what_was_written_never_gets_its_name(tmp_path, monkeypatch):
    def rot(path):
        good = path.read_bytes()
        path.write_bytes(good[:900] + bytes([good[900] ^ 1]) + good[901:])

    (tmp_path / "a.ckpt").write_text("the good one")
    monkeypatch.setattr(checkpoint_io, "fsync_path", rot)
    with pytest.raises(OSError, match="read back with a wrong checksum"):
        write_checkpoint(content(), tmp_path / "a.ckpt")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.ckpt", "the good one")]


def test_too_little_room_is_seen_before_anything_is_written(disk, monkeypatch):
    monkeypatch.setattr(checkpoint_io, "SPARE", MIB)
    write_checkpoint(content(), disk / "a.ckpt")
    with pytest.raises(Failure, match=r"Cannot save b\.ckpt: it needs 5 MiB, and 3 MiB are free.*ganrun resume"):
        write_checkpoint(content(numbers=MIB), disk / "b.ckpt")
    assert [path.name for path in disk.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("free", [0, 4096, 40_000, 300_000])
def test_a_disk_that_is_full_in_the_middle_keeps_what_was_there_and_nothing_of_the_new_file(disk, monkeypatch, free):
    monkeypatch.setattr(checkpoint_io, "check_free_space", lambda *_: None)  # another process takes the room afterwards
    path = disk / "a.ckpt"
    digest = write_checkpoint(content(), path)
    ballast = fill(disk, free)
    with pytest.raises(Failure, match=r"Cannot save a\.ckpt: .* Earlier checkpoints are intact") as result:
        write_checkpoint(content(numbers=MIB), path)
    assert result.value.exit_code == 1
    assert sha256_of_file(path) == digest
    assert {entry.name for entry in disk.iterdir()} == {"a.ckpt", "ballast"}
    ballast.unlink()
    write_checkpoint(content(3.0), path)

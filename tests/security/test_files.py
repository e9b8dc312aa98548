"""Files that a stranger may have made: what is read, created and appended to, and what is never opened."""

import json
import os
import socket

import pytest

from ganrun import files
from tests.helpers.hostile import make_fifo, make_link


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("of the user")
    return path


def test_a_regular_file_is_read_up_to_its_limit(secret):
    assert files.read_text(secret, limit=11) == "of the user"
    with pytest.raises(files.UnsafeFileError, match="has 11 bytes; at most 10 are read"):
        files.read_text(secret, limit=10)


def test_a_link_is_read_only_where_links_are_allowed(tmp_path, secret):
    link = make_link(tmp_path / "link", secret)
    assert files.read_bytes(link, limit=100, follow_links=True) == b"of the user"
    with pytest.raises(files.UnsafeFileError, match="link is a link, not a regular file"):
        files.open_regular(link)


@pytest.mark.parametrize("follow", [True, False])
def test_fifos_sockets_devices_and_folders_are_not_opened(tmp_path, follow):
    make_fifo(tmp_path / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    for path in (tmp_path / "fifo", tmp_path / "socket", "/dev/zero", tmp_path):
        with pytest.raises(files.UnsafeFileError, match="not a regular file"):
            files.open_regular(path, follow_links=follow)
    listening.close()


def test_a_file_of_proc_that_states_no_size_is_read_up_to_its_limit():
    with pytest.raises(files.UnsafeFileError, match="more than 20 bytes"):
        files.read_bytes("/proc/self/status", limit=20)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", "\udcff"])
def test_damaged_json_is_a_value_error(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever text
        files.read_json(tmp_path / "a.json", limit=200_000)


def test_json_is_read(tmp_path):
    files.replace_text(tmp_path / "a.json", json.dumps({"kimg": 1}))
    assert files.read_json(tmp_path / "a.json", limit=100) == {"kimg": 1}


@pytest.mark.parametrize("hostile", [make_link, os.link])
def test_a_temporary_file_is_never_written_through_a_link(tmp_path, secret, hostile):
    hostile(*((tmp_path / ".a.partial", secret) if hostile is make_link else (secret, tmp_path / ".a.partial")))
    files.replace_text(tmp_path / "a", "new")
    assert (secret.read_text(), (tmp_path / "a").read_text()) == ("of the user", "new")
    assert not (tmp_path / "a").is_symlink()


def test_a_file_that_is_a_link_is_replaced_and_its_target_left_alone(tmp_path, secret):
    make_link(tmp_path / "a", secret)
    files.replace_text(tmp_path / "a", "new")
    assert (secret.read_text(), (tmp_path / "a").is_symlink()) == ("of the user", False)


def test_a_fifo_in_the_place_of_a_temporary_file_is_removed(tmp_path):
    make_fifo(tmp_path / ".a.partial")
    files.replace_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_nothing_is_appended_through_a_link_or_to_a_fifo(tmp_path, secret):
    make_link(tmp_path / "link", secret)
    make_link(tmp_path / "dangling", tmp_path / "nowhere")
    make_fifo(tmp_path / "fifo")
    for name in ("link", "dangling", "fifo"):
        with pytest.raises(files.UnsafeFileError, match=f"{name} is a"):
            files.open_append(tmp_path / name)
    assert secret.read_text() == "of the user"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_with_two_names_is_appended_to_under_one_of_them(tmp_path, secret):
    os.link(secret, tmp_path / "train.log")
    with files.open_append(tmp_path / "train.log") as file:
        file.write(b", more")
    assert (secret.read_text(), (tmp_path / "train.log").read_text()) == ("of the user", "of the user, more")


def test_appending_creates_a_missing_file(tmp_path):
    for text in (b"one ", b"two"):
        with files.open_append(tmp_path / "new") as file:
            file.write(text)
    assert (tmp_path / "new").read_text() == "one two"


def test_a_temporary_file_has_the_mode_that_the_umask_gives(tmp_path):
    files.replace_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode

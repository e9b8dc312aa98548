"""Files and folders that appear as a whole, and what processes that are killed leave of them."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ganrun import files

BUILD = """
import sys
from pathlib import Path
from ganrun.files import building
with building(Path(sys.argv[1])) as partial:
    partial.mkdir()
    (partial / "half").touch()
    print(partial, flush=True)
    sys.stdin.read()
    partial.rename(sys.argv[1])
"""


@pytest.fixture
def builder(tmp_path):
    """A process that builds tmp_path/made and waits for the end of its input, and the path it builds at."""
    program = [sys.executable, "-c", textwrap.dedent(BUILD), str(tmp_path / "made")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, tmp_path / os.path.basename(process.stdout.readline().strip())
        process.kill()


def names(folder):
    return {path.name for path in folder.iterdir()}


def build(target):
    with files.building(target) as partial:
        partial.write_text("whole")
        partial.replace(target)


def test_what_another_process_is_building_stays_even_if_it_is_old(builder, tmp_path):
    process, partial = builder
    for path in (partial, partial / "half", tmp_path / f"{partial.name}.lock"):
        os.utime(path, (1, 1))
    build(tmp_path / "other")
    assert (partial / "half").exists()
    process.communicate()
    assert names(tmp_path) == {"made", "other"}
    assert names(tmp_path / "made") == {"half"}


def test_what_a_stopped_process_is_building_stays(builder, tmp_path):
    process, partial = builder
    process.send_signal(signal.SIGSTOP)
    build(tmp_path / "other")
    assert (partial / "half").exists()
    process.send_signal(signal.SIGCONT)
    process.communicate()
    assert names(tmp_path) == {"made", "other"}


def test_what_a_killed_process_has_built_is_removed_by_the_next_one_at_once(builder, tmp_path):
    process, partial = builder
    process.kill()
    process.wait()
    assert partial.exists()
    build(tmp_path / "other")
    assert names(tmp_path) == {"other"}


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with files.building(tmp_path / "made") as partial:
            partial.mkdir()
            (partial / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not names(tmp_path)


def test_many_that_build_the_same_at_once_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: build(tmp_path / "made"), range(40))] == 40 * [None]
    assert names(tmp_path) == {"made"}


def test_a_name_that_fills_its_limit_can_be_built(tmp_path):
    build(tmp_path / ("ü" * 127))
    assert names(tmp_path) == {"ü" * 127}


def test_links_in_place_of_what_was_abandoned_are_not_followed(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis").write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".a.unfinished").symlink_to(mine)
    (folder / ".a.unfinished.lock").touch()
    (folder / ".b.unfinished.lock").symlink_to(mine / "thesis")
    os.mkfifo(folder / ".c.unfinished.lock")
    files.remove_abandoned(folder)
    assert (mine / "thesis").read_text() == "mine"
    assert names(folder) == {".b.unfinished.lock", ".c.unfinished.lock"}


def test_without_a_lock_only_what_has_not_changed_for_a_week_is_removed(tmp_path):
    for name, days in (("old", 8), ("new", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
        for path in (tmp_path / name / "half", tmp_path / name):
            os.utime(path, (time.time() - days * 86400,) * 2)
    files.remove_unchanged(tmp_path.iterdir())
    assert names(tmp_path) == {"new"}

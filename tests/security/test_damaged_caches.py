"""Studies and caches that hold what ganrun does not write."""

import json
import time

import numpy as np
import pytest
from helpers.hostile import make_fifo, make_link

from ganrun.data import cache
from ganrun.errors import UserError
from ganrun.files import UnsafeFileError
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.study import StudySearch
from ganrun.sweep.state import SweepState


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.setattr("ganrun.sweep.search.study.time.sleep", lambda seconds: None)  # between two tries to open it
    space = SearchSpace(axes=[Axis("optimizer.lr", low=1e-4, high=1e-2)])
    return StudySearch(space, "tpe", 3, "min", 0, SweepState(tmp_path, {}))


def test_a_study_is_written_through_no_link(search, tmp_path):
    for target in (tmp_path / "mine", tmp_path / "new"):
        make_link(tmp_path / "study.journal", target)
        with pytest.raises(UnsafeFileError, match=r"study\.journal is a link"):
            search.propose([])
        (tmp_path / "study.journal").unlink()
    assert not (tmp_path / "new").exists()


def test_a_study_is_no_fifo(search, tmp_path):
    make_fifo(tmp_path / "study.journal")
    with pytest.raises(UnsafeFileError, match="is a FIFO"):
        search.propose([])


def test_the_lock_that_a_killed_process_of_version_0_1_left_is_no_obstacle(search, tmp_path):
    make_link(tmp_path / "study.journal.lock", "outputs/sweeps/x/study.journal")
    start = time.monotonic()
    assert search.propose([])[0] == 0
    assert time.monotonic() - start < 5


LINES = [
    "[" * 5000,
    "5",
    "[]",
    "{}",
    '{"op_code": 0}',
    '{"op_code": 99, "worker_id": "x"}',
    '{"op_code": 4}',
    "{",
    "null",
]
LINES += ['{"op_code": 0, "worker_id": 5, "study_name": [], "directions": "x"}', '{"op_code": "x", "worker_id": {}}']


@pytest.mark.parametrize("line", LINES)
def test_a_damaged_study_is_named(line, search, tmp_path):
    (tmp_path / "study.journal").write_text(f"{line}\n{line}\n")
    with pytest.raises(UserError, match=r"study\.journal cannot be used .* Start again with sweep\.fresh=true"):
        search.propose([])


def test_damaged_points_of_a_study_are_named(search, tmp_path):
    search.propose([])
    path = tmp_path / "study.journal"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for number, line in enumerate(lines):
        for key in line:
            for value in (None, {"a": 1}, -1):
                changed = [*lines[:number], {**line, key: value}, *lines[number + 1 :]]
                path.write_text("".join(json.dumps(each) + "\n" for each in changed))
                again = StudySearch(search.space, "tpe", 3, "min", 0, SweepState(tmp_path, {}))
                try:
                    again.propose([0])
                except UserError:
                    continue


@pytest.fixture
def folder(tmp_path):
    def write(store):
        store.save("train", "x", np.zeros((4, 1, 2, 2), np.uint8))
        return {"classes": ["a"]}

    cache.write_cache(tmp_path / "ring-0", {"root": "x"}, write)
    return tmp_path / "ring-0"


def damage(folder, **entries):
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**content, **entries}))


WRONG = [{"shapes": value} for value in (None, 5, "text", ["../x"], ["/etc/x"], {"../../mine": []}, {"x": []}, [[]])]
WRONG += [{"classes": "abc"}, {"skipped": 5}, {"fingerprint": None}, {"fingerprint": ["x"]}]


@pytest.mark.parametrize("entries", WRONG, ids=str)
def test_a_cache_whose_manifest_is_wrong_is_named(entries, folder):
    assert len(cache.open_cache(folder).splits["train"]["x"]) == 4
    damage(folder, **entries)
    with pytest.raises(UserError, match=r"The prepared data in .* are damaged"):
        cache.open_cache(folder)


@pytest.mark.parametrize("name", ["manifest.json", "train-x.npy"])
def test_no_fifo_of_a_cache_is_opened(name, folder):
    (folder / name).unlink()
    make_fifo(folder / name)
    with pytest.raises(UserError, match="is a FIFO"):
        cache.open_cache(folder)


def test_a_cache_without_arrays_or_with_pickles_is_named(folder):
    np.save(folder / "train-x.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="are damaged"):
        cache.open_cache(folder)
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deeply"):
        cache.open_cache(folder)

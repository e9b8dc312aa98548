"""Which folders are runs, and which run is the last."""

import json
import logging

import pytest
from helpers.hostile import make_link
from helpers.run_folders import make_not_begun, make_run, make_sweep

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.files import cache_dir
from ganrun.training import checkpoint
from ganrun.training.runs.find import find_run_folder, iterate_run_folders
from ganrun.training.runs.registry import KEPT, REGISTRY, newest_known_run, note_run, read_registry


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def names(root):
    return sorted(str(folder.relative_to(root)) for folder in iterate_run_folders(root))


def test_runs_are_found_at_any_depth_once_and_not_what_is_still_built(place):
    for name in (
        "a",
        "train/gan-ring/1",
        "sweeps/s/0-seed-1",
        "a/branch",
        "a/checkpoints/x",
        ".b.unfinished",
        "b.unfinished",
    ):
        (place / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        make_run(place / "runs" / name) if name != "a/checkpoints/x" else (place / "runs" / name).mkdir()
    make_not_begun(place / "runs" / "begun")
    make_sweep(place / "runs" / "sweeps" / "t")
    make_link(place / "runs" / "loop", place / "runs")
    make_link(place / "runs" / "twin", place / "runs" / "a")
    assert names(place / "runs") == ["a", "a/branch", "begun", "sweeps/s/0-seed-1", "train/gan-ring/1"]


def test_links_are_followed_to_runs_on_another_disk_but_not_out_of_a_run(place):
    make_run(place / "disk" / "1")
    make_run(place / "home" / "2")
    run = make_run(place / "outputs" / "run")
    make_link(place / "outputs" / "train", place / "disk")
    make_link(run / "way", place / "home")
    assert names(place / "outputs") == ["run", "train/1"]


@pytest.mark.parametrize("name", ["run", "run/checkpoints", "run/checkpoints/kimg000002.000.ckpt", "run/"])
def test_a_run_is_named_by_its_folder_or_a_checkpoint_in_it(place, name):
    run = make_run(place / "run")
    assert find_run_folder(str(place / name)) == run


def test_the_last_run_below_the_outputs_folder_comes_before_any_other(place, caplog):
    make_run(place / "elsewhere")
    note_run(place / "elsewhere")
    run = make_run(place / "here" / "outputs" / "run")
    assert find_run_folder("last", uses_registry=True).absolute() == run
    assert not caplog.messages


def test_without_a_run_there_the_last_is_the_newest_known_and_is_named(place, caplog):
    for name in ("first", "second"):
        note_run(make_run(place / name))
    with caplog.at_level(logging.WARNING):
        assert find_run_folder("last", uses_registry=True) == place / "second"
    assert caplog.messages == [
        f"There is no run in outputs; last is the newest one known on this machine: {place}/second"
    ]


@pytest.mark.parametrize(
    "args", [["stop", "last"], ["runs", "rm", "last", "--yes"], ["resume", "last"], ["resume", "last", "branch=true"]]
)
def test_commands_that_change_a_run_never_take_one_from_the_registry(place, args, capsys):
    note_run(make_run(place / "known", state="running"))
    assert main(args) == 2
    assert "There is no run in" in capsys.readouterr().err
    assert (place / "known" / "status.json").exists()


@pytest.mark.parametrize("verb", [["status", "last"], ["logs", "last"], ["runs", "tag", "last"]])
def test_commands_that_look_at_a_run_take_one_from_the_registry_and_say_so(place, verb, capsys):
    note_run(make_run(place / "known"))
    assert main(verb) == 0
    out, err = capsys.readouterr()
    assert f"last is the newest one known on this machine: {place}/known" in err
    assert "known" in out or "the last message" in out


def test_a_checkpoint_is_found_through_the_registry_only_where_that_is_asked_for(place):
    run = make_run(place / "known")
    (run / "checkpoints" / "manifest.json").write_text(json.dumps({"last": "kimg000002.000.ckpt"}))
    note_run(run)
    assert checkpoint.find_checkpoint("last", uses_registry=True) == run / "checkpoints" / "kimg000002.000.ckpt"
    with pytest.raises(UserError, match="There is no run in"):
        checkpoint.find_checkpoint("last")


def test_the_registry_stays_small_and_skips_runs_that_are_gone(place):
    run = make_run(place / "run")
    path = cache_dir() / REGISTRY
    note_run(run)
    path.write_text(path.read_text() + "not json\n" + '{"folder": 5}\n' + f'{{"folder": "{place / "gone"}"}}\n' * 9000)
    assert newest_known_run("status.json") == run
    note_run(run)
    assert len(read_registry(path)) == KEPT
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_cache_that_cannot_be_written_does_not_matter(place, monkeypatch):
    (place / "file").touch()
    monkeypatch.setenv("GANRUN_CACHE", str(place / "file" / "cache"))
    note_run(make_run(place / "run"))
    assert newest_known_run("status.json") is None

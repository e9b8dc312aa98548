"""GANRUN_OUTPUTS: where commands write, and where they look for runs and sweeps."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import ganrun
from ganrun.cli import completion
from ganrun.cli.main import main
from ganrun.data.image_files import is_written_by_ganrun
from ganrun.files import outputs_dir

TINY = ["model=gan", "data=ring", "kimg=0.04", "batch_size=20", "metrics.samples=64"]
COMMANDS = {
    "train": TINY,
    "sample": ["last", "n=4"],
    "look": ["last"],
    "eval": ["last", "samples=64"],
    "resume": ["last", "branch=true"],
    "export": ["last"],
    "compare": ["a"],
}


@pytest.fixture(scope="module")
def written(workplace):
    """The files that the commands write with GANRUN_OUTPUTS=kept/all; the last one compares the runs of a sweep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_OUTPUTS", "kept/all")
        assert main(["train", "-m", *TINY, "seed=1,2", "sweep.name=a"]) == 0
        codes = [main([verb, *args]) for verb, args in COMMANDS.items()]
    assert codes == [0] * len(COMMANDS)
    return {path.relative_to(workplace) for path in workplace.glob("**/*") if path.is_file()}


@pytest.mark.parametrize(
    "pattern",
    [
        "look/*/index.html",
        "train/gan-ring/*/status.json",
        "sweeps/a/sweep.json",
        "sweeps/a/*/status.json",
        "sample/*/grid.png",
        "eval/*/scores.json",
        "export/*/card.json",
        "compare/*/report.html",
    ],
)
def test_each_command_writes_below_the_folder(written, pattern):
    assert any(path.match(f"kept/all/{pattern}") for path in written)


def test_nothing_is_written_elsewhere(written):
    assert {path.parts[:2] for path in written} == {("kept", "all")}


def test_a_run_and_a_branch_save_the_folder_as_text(written, workplace):
    paths = [path for path in written if path.match("kept/all/train/*/*/config.yaml")]
    assert len(paths) == 2
    for path in paths:
        assert OmegaConf.to_container(OmegaConf.load(workplace / path))["folder"] == str(path.parent)


@pytest.fixture
def kept(written, workplace, monkeypatch):
    monkeypatch.setenv("GANRUN_OUTPUTS", str(workplace / "kept" / "all"))
    monkeypatch.chdir(workplace / "kept")


def test_the_runs_are_found_from_everywhere_if_the_path_is_absolute(kept, capsys):
    main(["runs", "--json"])
    listed = {run["folder"] for run in json.loads(capsys.readouterr().out)}
    assert listed == {run.folder for run in ganrun.runs()} == {*completion.all_runs()}
    assert len(listed) == 4  # two of the sweep, one alone and its branch


def test_the_branch_is_the_last_run(kept, capsys):
    assert main(["status", "last"]) == 0
    newest = ganrun.runs()[-1].folder
    assert newest in capsys.readouterr().out
    assert OmegaConf.load(f"{newest}/config.yaml").parent


def test_the_sweep_is_found_by_its_name_and_as_the_last(kept):
    assert main(["sweep", "a"]) == main(["sweep", "last"]) == 0


def test_a_dry_run_names_the_folder_and_does_not_make_it(cli, monkeypatch, capsys, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("GANRUN_OUTPUTS", "2026")
    assert cli.run("train", *TINY, "dry_run=true") == cli.run("train", "-m", *TINY, "seed=1,2", "dry_run=true") == 0
    assert "2026/train/gan-ring/" in capsys.readouterr().out
    assert "in 2026/sweeps/seed-" in caplog.text
    assert not any(cli.folder.iterdir())


def test_the_help_shows_the_folder(monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_OUTPUTS", "/disk/gans")
    main(["train", "--help"])
    assert "folder=/disk/gans/train/<model>-<data>/<time>" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "expected"), [("", "outputs"), ("a b", "a b"), ("~/x", "/disk/me/x"), ("/d/", "/d")])
def test_the_variable_is_a_path(monkeypatch, value, expected):
    monkeypatch.setenv("HOME", "/disk/me")
    monkeypatch.setenv("GANRUN_OUTPUTS", value)
    assert outputs_dir() == Path(expected)


def test_a_name_that_no_config_can_hold_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_OUTPUTS", "bad\udcff")
    assert main(["runs"]) == 2
    assert "Rename the file or folder." in capsys.readouterr().err


def test_the_outputs_are_no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GANRUN_OUTPUTS", str(tmp_path))
    (tmp_path / "sample").mkdir()
    assert is_written_by_ganrun(str(tmp_path), {"sample"})
    assert not is_written_by_ganrun(str(tmp_path), {"cats"})

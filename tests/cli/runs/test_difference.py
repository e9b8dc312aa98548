"""`ganrun runs diff`: the settings in which two runs differ, and their scores."""

import pytest
from helpers.hostile import write_run
from helpers.run_folders import make_run

from ganrun.cli.main import main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, config, **status):
    run = write_run(folder, {"folder": str(folder), **config}, {}, **status)
    (run / "checkpoints").mkdir()


def rows(out):
    return [line.split() for line in out.splitlines()]


def test_settings_choices_and_scores_that_differ_are_side_by_side(place, capsys):
    optimizer = {"optimizer": {"lr": 0.1, "betas": [0.5, 0.9]}}
    write(
        place / "a", {"seed": 1, "kimg": 5, **optimizer}, choices={"model": "gan"}, best={"kimg": 1.0, "val/fid": 9.5}
    )
    optimizer = {"optimizer": {"lr": 0.2, "betas": [0.5, 0.99]}}
    write(
        place / "b", {"seed": 2, "kimg": 5, **optimizer}, choices={"model": "wgan"}, best={"kimg": 2.0, "val/fid": 7.0}
    )
    assert main(["runs", "diff", "a", "b"]) == 0
    lines = rows(capsys.readouterr().out)
    assert lines[:3] == [["A", "a"], ["B", "b"], []]
    settings = lines[3 : lines.index([], 3)]
    assert settings[0] == ["setting", "A", "B"]
    assert ["model", "gan", "wgan"] in settings
    assert ["seed", "1", "2"] in settings
    assert ["optimizer.lr", "0.1", "0.2"] in settings
    assert ["optimizer.betas", "[0.5,", "0.9]", "[0.5,", "0.99]"] in settings
    assert len(settings) == 5
    assert ["val/fid", "(best)", "9.5", "7", "lower"] in lines


def test_players_that_have_the_optimizer_of_all_are_not_repeated(place, capsys):
    for name, rate, own in (("a", 0.1, 0.4), ("b", 0.2, 0.5)):
        players = {"discriminator": {"lr": rate}, "generator": {"lr": own}}
        write(place / name, {"optimizer": {"lr": rate}, "optimizers": players})
    assert main(["runs", "diff", "a", "b"]) == 0
    settings = [row[0] for row in rows(capsys.readouterr().out) if row and row[0].startswith("optimizer")]
    assert settings == ["optimizer.lr", "optimizers.generator.lr"]


def test_equal_runs_have_no_settings_that_differ(place, capsys):
    make_run(place / "a")
    make_run(place / "b", best={"kimg": 1.0, "val/fd": float("nan"), "val/other": 3})
    assert main(["runs", "diff", "a", "b"]) == 0
    out = capsys.readouterr().out
    assert "The settings are equal." in out
    assert ["val/other", "(best)", "-", "3"] in rows(out)
    assert ["val/fd", "(best)", "5.913", "-"] in [row[:4] for row in rows(out)]


def test_what_a_config_would_compute_is_shown_as_text(place, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cret")
    write(place / "a", {"seed": "${oc.env:SECRET}"})
    write(place / "b", {"seed": 1})
    assert main(["runs", "diff", "a", "b"]) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert "${oc.env:SECRET}" in out

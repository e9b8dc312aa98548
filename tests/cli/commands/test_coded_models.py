"""The verbs for runs, on models that find codes of examples: an outline of a run's life for each."""

import json
from pathlib import Path

import pytest
from helpers.model_training import CODED

from ganrun.cli.main import main

SHORT = ["kimg=0.016", "metrics.samples=16", "logger=none"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run of each model in it, and two seeds of the VAE."""
    folder = tmp_path_factory.mktemp("coded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, settings in CODED.items():
            assert main(["train", *settings, *SHORT, f"folder=runs/{name}"]) == 0
        assert main(["train", *CODED["vae"], *SHORT, "seed=1", "folder=runs/vae2"]) == 0
    return folder


@pytest.fixture(autouse=True)
def work_there(place, monkeypatch):
    monkeypatch.chdir(place)


def rows_of(capsys):
    return [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]


def test_the_table_of_runs_has_each_with_its_monitored_score(capsys):
    assert main(["runs", "runs", "--json"]) == 0
    runs = {Path(run["folder"]).name: run for run in json.loads(capsys.readouterr().out)}
    assert runs.keys() == {*CODED, "vae2"}
    for name, run in runs.items():
        status = json.loads(Path("runs", name, "status.json").read_text())
        assert run["state"] == "done"
        assert run["score"] == status["best"][run["metric"]]
        is_reconstructed = name == "autoencoder"
        assert run["metric"] == ("val/reconstruction_l1" if is_reconstructed else "val/fd_lenet")


@pytest.mark.parametrize("name", CODED)
def test_the_status_of_a_run_names_its_score(name, capsys):
    assert main(["status", f"runs/{name}"]) == 0
    shown = capsys.readouterr().out
    assert "done" in shown
    assert ("reconstruction_l1" if name == "autoencoder" else "fd_lenet") in shown


def test_all_are_compared_by_the_score_that_they_share(capsys):
    names = [f"runs/{name}" for name in CODED if name != "autoencoder"]
    assert main(["compare", *names, "out=comparison"]) == 0
    shown, page = capsys.readouterr().out, Path("comparison/report.html").read_text()
    assert "val/fd_lenet" in shown
    assert "not ranked" not in shown
    for name in names:
        assert name in page


def test_reconstructions_are_compared_if_asked_for(capsys):
    names = [f"runs/{name}" for name in ("autoencoder", "vae", "bigan")]
    assert main(["compare", *names, "metric=val/reconstruction_l1", "out=by_l1"]) == 0
    found = {name: json.loads(Path(name, "status.json").read_text())["best"] for name in names}
    rows = rows_of(capsys)
    assert any("val/reconstruction_l1" in row for row in rows)
    assert any(f"{found['runs/autoencoder']['val/reconstruction_l1']:.4g}" in row for row in rows)


def test_seeds_of_a_vae_share_a_rank(capsys):
    assert main(["compare", "runs/vae", "runs/vae2"]) == 0
    scores = [
        json.loads(Path("runs", name, "status.json").read_text())["best"]["val/fd_lenet"] for name in ("vae", "vae2")
    ]
    assert any(f"{sum(scores) / 2:.4g}" in row for row in rows_of(capsys))


def test_a_run_without_opponents_is_compared_with_a_gan(capsys):
    assert main(["runs", "diff", "runs/vae", "runs/bigan"]) == 0
    assert "model vae bigan" in "\n".join(rows_of(capsys))


@pytest.mark.parametrize("name", CODED)
def test_it_is_exported_and_the_export_samples(name, capsys):
    code = main(["export", f"runs/{name}", "format=safetensors", f"out=exported/{name}"])
    assert code == (2 if name == "autoencoder" else 0)
    if code == 0:
        assert main(["sample", f"exported/{name}", "n=4", f"out=grids/{name}"]) == 0
        assert Path("grids", name, "grid.png").is_file()
    else:
        assert "draws no samples" in capsys.readouterr().err

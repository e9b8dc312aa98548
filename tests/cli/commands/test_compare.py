"""Runs beside each other: what they differ in, their ranking, and which are not ranked together."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ganrun.cli.main import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes a run folder as a training leaves it, with these best scores at 1, 2 ... kimg."""
    monkeypatch.chdir(tmp_path)

    def run(name, scores, samples=2000, seed=0, lr=1e-4, model="gan", data="digits"):
        folder = tmp_path / name
        folder.mkdir()
        config = {
            "seed": seed,
            "folder": name,
            "optimizer": {"lr": lr},
            "data": {"name": data, "size": 28},
            "metrics": {"monitor": "val/fid", "mode": "min"},
        }
        OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
        status = {
            "state": "done",
            "kimg": float(len(scores)),
            "seconds": 1.0,
            "choices": {"model": model, "data": data},
        }
        (folder / "status.json").write_text(json.dumps(status))
        protocol = {"extractor": "inception", "samples": samples, "reference": 10000, "floor": samples / 1000}
        lines = [{"kimg": k, "val/fid": score, "protocol": protocol} for k, score in enumerate(scores, 1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return name

    return run


def told(capsys):
    return [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]


def test_runs_are_ranked_by_their_best_scores_and_seeds_of_one_setting_by_the_mean(run, capsys):
    names = [run("a", [9, 2, 5]), run("b", [9, 4], seed=1), run("c", [8.0], lr=1e-3), run("d", [1.0], lr=1e-2)]
    assert main(["compare", *names]) == 0
    lines = told(capsys)
    assert "0 a" in lines
    assert "optimizer.lr=0.0001 seed=0" in lines
    assert [line for line in lines if line[:2] in ("1 ", "2 ", "3 ") and 1 < line.count(" ") < 5] == [
        "1 3 1",
        "2 0, 1 3 1.41",
        "3 2 8",
    ]
    assert not any("not ranked" in line for line in lines)
    assert "2 of 3 points have one seed, so their order may be chance. Several seeds tell: seed=1,2,3" in lines


def test_scores_of_different_counts_are_not_ranked_together(run, capsys, tmp_path):
    names = [run("few", [5.0]), run("many", [9.0], samples=10000), run("more", [7.0], samples=10000)]
    assert main(["compare", *names, "out=page"]) == 0
    lines = told(capsys)
    assert "These runs are not ranked together, because their scores were measured differently." in lines
    assert "runs 0: samples 2000" in lines
    assert "runs 1, 2: samples 10000" in lines
    assert any(
        line.startswith("To make the scores comparable: ganrun eval") and "samples=10000, and" in line for line in lines
    )
    assert sum(line.startswith("ranking: best score of each run") for line in lines) == 2
    assert {"1 0 5", "1 1, 2 8 1.41"} <= set(lines)  # a first place in each
    assert {path.name for path in (tmp_path / "page").iterdir()} == {"report-1.html", "report-2.html"}


def test_scores_of_different_data_are_not_ranked_together(run, capsys):
    assert main(["compare", run("a", [5.0]), run("b", [4.0], data="mnist")]) == 0
    assert "runs 1: data mnist" in told(capsys)


def test_choices_that_differ_are_told_as_choices(run, capsys):
    assert main(["compare", run("a", [5.0]), run("b", [4.0], model="wgan")]) == 0
    assert "model=wgan" in told(capsys)  # equal seeds are not


def test_settings_that_models_share_are_told_beside_the_model(run, capsys):
    assert main(["compare", run("a", [5.0]), run("b", [4.0], model="wgan", lr=1e-3)]) == 0
    assert {"model=gan optimizer.lr=0.0001", "model=wgan optimizer.lr=0.001"} <= set(told(capsys))


def test_the_rate_of_a_player_is_told_only_if_it_is_not_that_of_all(run, capsys):
    def with_rate(name, lr, own):
        folder = Path(run(name, [5.0], lr=lr))
        config = OmegaConf.load(folder / "config.yaml")
        OmegaConf.update(config, "optimizers.discriminator.lr", own, force_add=True)
        OmegaConf.save(config, folder / "config.yaml")
        return name

    names = [with_rate("a", 1e-4, 1e-4), with_rate("b", 1e-3, 1e-3), with_rate("c", 1e-4, 4e-4)]
    assert main(["compare", *names[:2]]) == 0
    assert "optimizer.lr=0.001" in told(capsys)
    assert main(["compare", *names]) == 0
    assert "optimizer.lr=0.0001 optimizers.discriminator.lr=0.0004" in told(capsys)


def test_a_run_is_not_compared_with_itself(run, capsys):
    run("a", [5.0])
    assert main(["compare", "a", "./a"]) == 2
    assert "two or more runs, or a sweep: ganrun compare RUN OTHER, or ganrun compare SWEEP. a is given 2 times." in (
        capsys.readouterr().err
    )
    assert main(["compare", "a", run("b", [4.0], lr=1e-3), "a/"]) == 0
    assert [line for line in told(capsys) if line[:1].isdigit()] == ["0 a", "1 b", "1 1 4", "2 0 5"]


def test_runs_with_the_same_settings_are_said_to_have_them(run, capsys):
    assert main(["compare", run("a", [5.0]), run("b", [4.0])]) == 0
    assert told(capsys)[:4] == ["0 a", "the same settings", "1 b", "the same settings"]


def test_the_page_shows_every_run(run, tmp_path, capsys):
    assert main(["compare", run("a", [5.0]), run("b", [4.0], model="wgan"), "out=page"]) == 0
    page = (tmp_path / "page" / "report.html").read_text()
    assert "<h1>Comparison</h1>" in page
    assert "2 in total: 2 done" in page
    assert "http://" not in page.split("<script")[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a"], "needs two or more runs, or a sweep"),
        (["a", "nix"], "nix is not a run folder. nix is not a sweep folder"),
        (["a", "b", "kimg=3"], "Unknown setting kimg. compare takes metric= and out="),
        (["a", "b", "out=a"], "a exists"),
    ],
)
def test_what_cannot_be_compared_is_refused(run, capsys, words, said):
    run("a", [1.0])
    run("b", [2.0])
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err

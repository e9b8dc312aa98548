"""Scores of reconstructions, and the commands for models that have them."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.model_training import SMALL_DIGITS, job_of
from helpers.run_pictures import pictures_of
from omegaconf import OmegaConf

from ganrun.cli.main import main
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.reconstruction import score_reconstructions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return job_of("model=dcgan", "network.width=4", *SMALL_DIGITS).data


@pytest.fixture(scope="module")
def extractor():
    loaded = LeNetExtractor()
    loaded.load()
    return loaded


def scores_of(reconstruct, digits, extractor, samples=60):
    return score_reconstructions(SimpleNamespace(device=CPU, reconstruct=reconstruct), digits, extractor, samples, 25)


def test_perfect_reconstructions(digits, extractor):
    scores = scores_of(lambda x: x, digits, extractor)
    assert (scores["reconstruction_l1"], scores["reconstruction_mse"], scores["psnr"]) == (0, 0, math.inf)
    assert scores["ssim"] == pytest.approx(1)
    assert scores["kept"] > 0.95


def test_the_scores_are_those_of_a_loop_over_pixels(digits, extractor):
    scores = scores_of(lambda x: x * 0.5 + 0.1, digits, extractor)
    differences = [abs(v - (v * 0.5 + 0.1)) for v in digits.test("x", 60).flatten().tolist()]
    l1, mse = sum(differences) / len(differences), sum(d * d for d in differences) / len(differences)
    assert scores["reconstruction_l1"] == pytest.approx(l1, rel=1e-4)
    assert scores["reconstruction_mse"] == pytest.approx(mse, rel=1e-4)
    assert scores["psnr"] == pytest.approx(10 * math.log10(4 / mse), rel=1e-4)


def test_kept_is_the_share_of_images_whose_class_the_reconstruction_has(digits, extractor):
    labels = digits.test("y", 60)
    (seven,) = (labels == 7).nonzero()[:1, 0].tolist()
    only_seven = digits.test("x", torch.tensor([seven])).float()
    scores = scores_of(lambda x: only_seven.expand(len(x), -1, -1, -1), digits, extractor)
    assert scores["kept"] == pytest.approx((labels == 7).float().mean().item())
    assert 0 < scores["kept"] < 0.5


def test_what_is_not_finite_is_not_hidden(digits, extractor):
    scores = scores_of(lambda x: x * float("nan"), digits, extractor)
    assert math.isnan(scores["reconstruction_l1"])
    assert math.isnan(scores["psnr"])


TINY = ["network.width=4", "batch_size=4", "kimg=0.04", "metrics.samples=50", "logger=none"]


def test_an_autoencoder_is_trained_and_scored_and_draws_no_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=autoencoder", "data=digits", *TINY, "folder=run"]) == 0
    status = json.loads(Path("run/status.json").read_text())
    names = {"reconstruction_l1", "reconstruction_mse", "psnr", "ssim", "kept_lenet"}
    assert status["last"].keys() - {"kimg"} == {f"val/{name}" for name in names}
    assert status["monitor"] == "val/reconstruction_l1"
    assert status["best"]["val/reconstruction_l1"] <= status["last"]["val/reconstruction_l1"]
    assert Path("run/reconstructions.png").is_file()
    out = capsys.readouterr().out
    assert "ganrun eval run" in out
    assert "ganrun sample" not in out
    assert main(["eval", "run"]) == 0
    assert "kept_lenet" in capsys.readouterr().out
    for verb in ("sample", "export"):
        assert main([verb, "run"]) == 2
        assert "autoencoder" in capsys.readouterr().err


def test_a_vae_is_scored_by_its_samples_and_its_reconstructions_and_is_never_collapsed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=vae", "data=digits", *TINY, "folder=run"]) == 0
    status = json.loads(Path("run/status.json").read_text())
    assert {"val/fd_lenet", "val/diversity_lenet", "val/reconstruction_l1", "val/kept_lenet"} <= status["last"].keys()
    assert "collapsed" not in capsys.readouterr().out
    assert pictures_of("run") == {"samples", "reconstructions", "path", "directions"}
    assert main(["sample", "run", "n=4", "out=drawn"]) == 0
    assert main(["eval", "run", "copies=5"]) == 0
    assert "collapsed" not in capsys.readouterr().out
    assert main(["export", "run", "out=bundle"]) == 0


def test_the_table_of_eval_counts_the_test_images_that_were_reconstructed(digits):
    suite = job_of("model=vae", "network.width=4", *SMALL_DIGITS, "metrics=lenet").suite
    suite.prepare(digits)
    notes = suite.score_notes(digits, 5000)
    assert (notes["val/reconstruction_l1"].samples, notes["val/kept_lenet"].samples) == (1000, 1000)
    assert notes["val/fd_lenet"].samples == 5000
    assert suite.score_notes(digits, 60)["val/psnr"].samples == 60


def test_reconstructions_without_metrics_need_no_score(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=autoencoder", "data=digits", "metrics=none", *TINY[:3], "logger=none"]) == 0
    (status,) = Path("outputs").rglob("status.json")
    assert json.loads(status.read_text())["monitor"] is None
    assert OmegaConf.load(status.with_name("config.yaml")).metrics.monitor is None  # which sweeps and compare read


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["model=autoencoder", "network=mlp"],
        ["model=bigan", "network=mlp"],
        ["model=bigan", "network=maxout"],
        ["model=vae", "generator=resnet_small"],
        ["model=vae", "model.likelihood=gaussian", "data.size=[8,16]"],  # too small for SSIM
    ],
    ids=" ".join,
)
def test_other_networks_likelihoods_and_sizes_train_and_are_scored(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["batch_size=4", "kimg=0.016", "metrics.samples=50", "logger=none", "folder=run"]
    assert main(["train", "data=digits", *words, *small]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    assert math.isfinite(scores["val/reconstruction_l1"])
    assert ("val/ssim" in scores) == ("data.size=[8,16]" not in words)

"""The suite for models with codes, on sprites, and its commands."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.model_training import job_of

from ganrun.cli.main import main
from ganrun.metrics.factors import Factors, read_codes
from ganrun.networks.codes import LatentCodes

CPU = torch.device("cpu")
SPRITES = ["data=sprites", "data.count=600", "data.size=16", "batch_size=4"]
SMALL = [*SPRITES, "network.width=4", "kimg=0.016", "metrics.samples=300", "metrics.fitted=40", "logger=none"]
OF_FACTORS = ["factor_vae", "mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"]


def suite(samples=600, fitted=0, batch_size=100):
    return Factors("val/mig", "max", samples, batch_size=batch_size, fitted=fitted)


@pytest.fixture(scope="module")
def data():
    loaded = job_of("model=vae", *SPRITES, "network.width=4").data
    loaded.setup()
    return loaded


class Knowing:
    """A model whose codes are the true factors of the training pictures, which it knows by heart, changed."""

    device = CPU

    def __init__(self, data, change=lambda codes: codes):
        train = data.contents.splits["train"]
        values = data.source.factor_values(train["factors"])
        codes = change(torch.stack([*values.values()], dim=1).float())
        self.codes = {x.numpy().tobytes(): code for x, code in zip(train["x"], codes, strict=True)}

    def encode(self, x):
        pixels = ((x + 1) * 127.5).round().to(torch.uint8)
        return torch.stack([self.codes[each.numpy().tobytes()] for each in pixels])


def test_the_codes_of_each_picture_are_compared_with_its_own_factors(data):
    scores = suite().score(Knowing(data), data)
    assert scores == {"val/factor_vae": 1, "val/mig": pytest.approx(1, abs=0.1)}


def test_the_scores_are_the_same_for_the_same_seed_in_batches_of_any_size(data):
    model = Knowing(data, lambda codes: codes @ torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
    state = torch.get_rng_state()
    first, again = (suite(500, batch_size=size).score(model, data) for size in (100, 37))
    assert first == again
    assert torch.equal(torch.get_rng_state(), state)


def test_codes_that_are_not_finite_have_no_scores(data):
    scores = suite(fitted=50).score(Knowing(data, lambda codes: codes * float("nan")), data, is_final=True)
    assert [*scores] == [f"val/{name}" for name in OF_FACTORS]
    assert all(math.isnan(value) for value in scores.values())


def test_constant_codes_have_finite_scores(data):
    scores = suite(fitted=50).score(Knowing(data, torch.zeros_like), data, is_final=True)
    assert scores.pop("val/dci_informativeness") > 0.2
    assert all(value == pytest.approx(0, abs=1e-9) for value in scores.values())


def test_a_code_of_infogan_is_the_mean_of_a_number_and_the_most_likely_value_of_a_category():
    codes = LatentCodes({"c1": 3, "c2": "uniform"}, 6)
    q = torch.tensor([[0.1, 0.2, 3.0, -0.7], [5.0, 0.0, 1.0, 0.4]])
    model = SimpleNamespace(codes=codes, recognize=lambda x: codes.split(q))
    assert torch.equal(read_codes(model, torch.zeros(2, 1)), torch.tensor([[2.0, -0.7], [0.0, 0.4]]))


def test_without_scikit_learn_there_is_no_dci(data, monkeypatch, caplog):
    monkeypatch.setattr("ganrun.metrics.factors.find_spec", lambda name: None)
    metrics = suite(fitted=50)
    with caplog.at_level("INFO"):
        metrics.prepare(data)
    assert "pip install 'ganrun[baselines]'" in caplog.text
    assert metrics.names(Knowing(data), data) == ["val/factor_vae", "val/mig"]
    assert [*metrics.score(Knowing(data), data, is_final=True)] == ["val/factor_vae", "val/mig"]


def test_the_table_of_eval_says_how_many_pictures_were_used(data):
    notes, protocol = (f(data, 5000) for f in (suite(fitted=1000).score_notes, suite(fitted=1000).protocol))
    assert notes["val/mig"].samples == 600
    assert notes["val/reconstruction_l1"].samples == 2000  # of the test split
    assert notes["val/dci_completeness"].how.endswith("fitted to 300")
    assert (protocol["factors"], protocol["reference_splits"]) == (
        ["ground", "shape", "colour", "size", "row", "column"],
        ["train"],
    )


def test_a_vae_on_sprites_is_scored_in_training_and_by_eval(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=vae", "model.z_dim=5", *SMALL, "metrics.fitted=0", "folder=run"]) == 0
    status = json.loads(Path("run/status.json").read_text())
    names = {*OF_FACTORS[:2], "reconstruction_l1", "reconstruction_mse", "psnr", "ssim"}
    assert status["last"].keys() - {"kimg"} == {f"val/{name}" for name in names}
    assert status["monitor"] == "val/mig"
    capsys.readouterr()
    assert main(["eval", "run"]) == 0
    assert "yes: the scores compare with those of the training" in capsys.readouterr().out
    assert evaluated() == {f"val/{name}": status["last"][f"val/{name}"] for name in names}


def evaluated():
    """The scores that `ganrun eval` has written."""
    (path,) = Path("outputs/eval").rglob("scores.json")
    return json.loads(path.read_text())["scores"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["model=dcgan"], "needs a model that finds codes of examples"),
        (["model=vae", "data.objects=2"], "needs data with known factors"),
    ],
    ids=["no codes", "two objects"],
)
def test_a_run_without_codes_or_known_factors_has_no_scores_and_says_so(
    settings, reason, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, *settings, "folder=run"]) == 0
    text = "".join(capsys.readouterr())
    assert text.count(reason) == 1
    status = json.loads(Path("run/status.json").read_text())
    assert (status["monitor"], status["last"].keys() - {"kimg"}) == (None, set())
    assert main(["eval", "run"]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "monitor", "other"),
    [
        ("vae", "val/mig", "val/ssim"),
        ("autoencoder", "val/reconstruction_l1", "val/reconstruction_l1"),
        ("bigan", "val/mig", "val/psnr"),
        ("ali", "val/mig", "val/psnr"),
        ("bigbigan", "val/mig", "val/psnr"),
        ("vaegan", "val/mig", "val/psnr"),
        ("infogan", "val/mig", "val/code_recovery"),
    ],
)
def test_models_with_codes_are_scored(model, monitor, other, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"model={model}", *SMALL, "data.size=32", "folder=run"]) == 0
    status = json.loads(Path("run/status.json").read_text())
    assert status["monitor"] == monitor
    names = {other, *(f"val/{name}" for name in OF_FACTORS)}
    assert names <= status["last"].keys()
    capsys.readouterr()
    assert main(["eval", "run"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in names)
    assert all(math.isfinite(evaluated()[name]) for name in names)

"""The number of batches per Lightning step changes no number."""

import json

import pytest
import torch

from ganrun.cli.main import main

OVERRIDES = ["data=ring", "batch_size=20", "kimg=4", "log_every=7", "metrics.samples=50", "logger=none"]  # 200 batches
SMALL = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "ema.half_life_kimg=0.2"]
MODELS = {"gan": ["model=gan"], "wgan": ["model=wgan", "model.n_critic=5"]}
MODELS["cast"] = [*MODELS["gan"], "trainer.precision=bf16-mixed"]  # within one context of casts for all batches


def read_results(folder):
    """Return the final weights and optimizers, and the lines of metrics.jsonl without their times."""
    name = json.loads((folder / "checkpoints" / "manifest.json").read_text())["last"]
    content = torch.load(folder / "checkpoints" / name, weights_only=True)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("time")
    return content["state_dict"], str(content["optimizer_states"]), content["seen"], lines


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))

    def train(*overrides, folder):
        assert main(["train", *OVERRIDES, *SMALL, *overrides, f"folder={folder}"]) == 0
        return read_results(tmp_path / folder)

    return train


def assert_equal(result, expected):
    assert result[0].keys() == expected[0].keys()
    assert all(torch.equal(result[0][key], expected[0][key]) for key in expected[0])
    assert result[1:] == expected[1:]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_weights_scores_and_curves_do_not_depend_on_batches_per_step(train, model):
    plain = train(*MODELS[model], "trainer.batches_per_step=1", folder="plain")
    for count in (4, 16):
        assert_equal(train(*MODELS[model], f"trainer.batches_per_step={count}", folder=f"by{count}"), plain)


@pytest.mark.parametrize("count", [1, 16])
def test_weights_in_bfloat16_are_not_cached_from_one_batch_to_the_next(train, monkeypatch, count):
    """Lightning's autocast context, which lasts for all batches of a step, has a cache in some versions."""
    overrides = [*MODELS["cast"], f"trainer.batches_per_step={count}", "kimg=0.4"]
    plain = train(*overrides, folder="plain")

    def caching(plugin):
        return torch.autocast(plugin.device, torch.bfloat16, cache_enabled=True)

    monkeypatch.setattr("pytorch_lightning.plugins.precision.MixedPrecision.autocast_context_manager", caching)
    assert_equal(train(*overrides, folder="caching"), plain)


def test_a_training_interrupted_within_a_step_resumes_exactly(train, tmp_path):
    overrides = [*MODELS["wgan"], "checkpoint.every_kimg=0.74"]  # 37 batches: within the third step of 16
    whole = train(*overrides, folder="whole")
    folder = tmp_path / "whole" / "checkpoints"
    manifest = json.loads((folder / "manifest.json").read_text())
    status = json.loads((tmp_path / "whole" / "status.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "last": "kimg000000.740.ckpt"}))
    (tmp_path / "whole" / "status.json").write_text(json.dumps({**status, "state": "running", "kimg": 0.74}))
    assert main(["resume", "whole"]) == 0
    assert_equal(read_results(tmp_path / "whole"), whole)

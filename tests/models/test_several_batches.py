"""How many batches stand in one of Lightning's steps changes no number."""

import json

import pytest
import torch

from ganrun.cli.main import main

WORDS = ["data=ring", "batch_size=20", "kimg=4", "log_every=7", "metrics.samples=50", "logger=none"]  # 200 batches
SMALL = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "ema.half_life_kimg=0.2"]
MODELS = {"gan": ["model=gan"], "wgan": ["model=wgan", "model.n_critic=5"]}
MODELS["cast"] = [*MODELS["gan"], "trainer.precision=bf16-mixed"]  # within one context of casts for all batches


def told(folder):
    """Weights and optimizers at the end, and every line of metrics.jsonl but its time."""
    name = json.loads((folder / "checkpoints" / "manifest.json").read_text())["last"]
    content = torch.load(folder / "checkpoints" / name, weights_only=True)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("time")
    return content["state_dict"], str(content["optimizer_states"]), content["seen"], lines


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))

    def trained(*words, folder):
        assert main(["train", *WORDS, *SMALL, *words, f"folder={folder}"]) == 0
        return told(tmp_path / folder)

    return trained


def assert_equal(found, wanted):
    assert found[0].keys() == wanted[0].keys()
    assert all(torch.equal(found[0][key], wanted[0][key]) for key in wanted[0])
    assert found[1:] == wanted[1:]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_weights_scores_and_curves_are_the_same_whatever_the_chunk(trained, model):
    plain = trained(*MODELS[model], "trainer.batches_per_step=1", folder="plain")
    for count in (4, 16):
        assert_equal(trained(*MODELS[model], f"trainer.batches_per_step={count}", folder=f"by{count}"), plain)


@pytest.mark.parametrize("count", [1, 16])
def test_no_weights_are_kept_in_bfloat16_from_one_batch_to_the_next(trained, monkeypatch, count):
    """Lightning's context of casts has had a cache in some versions, and lasts for all batches of a step."""
    words = [*MODELS["cast"], f"trainer.batches_per_step={count}", "kimg=0.4"]
    plain = trained(*words, folder="plain")

    def caching(plugin):
        return torch.autocast(plugin.device, torch.bfloat16, cache_enabled=True)

    monkeypatch.setattr("pytorch_lightning.plugins.precision.MixedPrecision.autocast_context_manager", caching)
    assert_equal(trained(*words, folder="caching"), plain)


def test_a_training_that_was_cut_within_a_step_goes_on_exactly(trained, tmp_path):
    words = [*MODELS["wgan"], "checkpoint.every_kimg=0.74"]  # 37 batches: within the third step of 16
    whole = trained(*words, folder="whole")
    folder = tmp_path / "whole" / "checkpoints"
    manifest = json.loads((folder / "manifest.json").read_text())
    status = json.loads((tmp_path / "whole" / "status.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "last": "kimg000000.740.ckpt"}))
    (tmp_path / "whole" / "status.json").write_text(json.dumps({**status, "state": "running", "kimg": 0.74}))
    assert main(["resume", "whole"]) == 0
    assert_equal(told(tmp_path / "whole"), whole)

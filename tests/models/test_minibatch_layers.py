"""Trainings of discriminators with a layer that compares the examples of a batch."""

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import RING, SMALL_DIGITS, job_of, train

from ganrun.cli.main import main
from ganrun.networks.minibatch import LAYERS


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("data", [RING, ["model=dcgan", "network.width=4", *SMALL_DIGITS]], ids=["ring", "digits"])
def test_models_train_with_it(data, name):
    layer = f"network.discriminator.minibatch={name}"
    job = job_of(*data, layer, "regularizer=[gradient_penalty]", "model.z_dim=5")
    before = [w.detach().clone() for w in job.model.discriminator.parameters()]
    train(job, 3)
    moved = [not torch.equal(w, v) for w, v in zip(job.model.discriminator.parameters(), before, strict=True)]
    assert all(moved)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_a_killed_training_resumes_exactly(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *RING, f"network.discriminator.minibatch={name}")


def test_parts_of_a_batch_are_said_to_be_compared_apart(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = [
        *RING,
        "network.discriminator.minibatch=standard_deviation",
        "kimg=0.032",
        "metrics=none",
        "logger=none",
    ]
    assert main(["train", *settings, "accumulate=2"]) == 0
    assert "so does a minibatch layer" in capsys.readouterr().err


def test_an_unknown_layer_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=gan", "data=ring", "network.discriminator.minibatch=deviation"]) == 2
    assert "network.discriminator.minibatch must be one of standard_deviation" in capsys.readouterr().err

"""PacGAN: packs of examples, with any network; one example in a pack is GAN."""

import copy

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import RING, SMALL_DIGITS, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main

SMALL = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]"]
NETWORKS = {
    "points": ["data=ring", *SMALL],
    "mlp": ["data=digits", "network=mlp", *SMALL],
    "maxout": ["data=digits", *SMALL],
    "dcgan": ["data=digits", "network=dcgan", "network.width=4"],
}


@pytest.mark.parametrize("data", [RING, ["network=dcgan", "network.width=4", *SMALL_DIGITS]], ids=["ring", "digits"])
def test_packs_of_one_are_gan_bit_for_bit(data):
    gan = train(job_of(*data, "model=gan", "model.z_dim=5"), 5).model
    packs_of_one = train(job_of(*data, "model=pacgan", "model.z_dim=5", "model.pack=1"), 5).model
    assert_same_weights(packs_of_one, gan)


def packs(x, m):
    """Section 3: the examples 1 to m side by side, then m + 1 to 2m, and so on."""
    return torch.stack([torch.cat([*x[start : start + m]]) for start in range(0, len(x), m)])


@pytest.mark.parametrize("network", ["points", "dcgan"])
@pytest.mark.parametrize("m", [2, 4])
def test_the_training_is_that_of_a_gan_on_packs(network, m):
    exact = ["trainer.precision=64-true", "optimizer.fused=false", f"seed={SEED}"]
    job = job_of("model=pacgan", *NETWORKS[network], *exact, "batch_size=8", f"model.pack={m}", "model.z_dim=5")
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    g_optimizer, d_optimizer = (torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (g, d))
    for _, batch in batches_of(job, torch.float64, 3):
        x = packs(batch["x"], m)
        d_optimizer.zero_grad()
        fake = packs(g(torch.randn(8, 5, dtype=torch.float64)).detach(), m)
        (-logsigmoid(d(x)).mean() - logsigmoid(-d(fake)).mean()).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        (-logsigmoid(d(packs(g(torch.randn(8, 5, dtype=torch.float64)), m))).mean()).backward()
        g_optimizer.step()
    train(job, 3)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_command_trains_any_network_on_packs_and_samples(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["batch_size=8", "kimg=0.016", "metrics=none", "logger=none"]
    assert main(["train", "model=pacgan", *NETWORKS[network], *settings, "regularizer=[r1]", "folder=run"]) == 0
    assert main(["sample", "run", "n=3"]) == 0


def test_a_batch_that_is_no_multiple_of_the_pack_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=pacgan", "data=ring", "model.pack=3", "batch_size=100"]) == 2
    error = capsys.readouterr().err
    assert "batch_size must be a multiple of 3" in error
    assert "got 100" in error
    assert "batch_size=102" in error
    assert not [*tmp_path.iterdir()]


def test_the_share_of_each_device_must_be_a_multiple_of_the_pack(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    devices = ["trainer.accelerator=cpu", "trainer.devices=2"]
    assert main(["train", "model=pacgan", "data=ring", "batch_size=6", *devices]) == 2
    error = capsys.readouterr().err
    assert "batch_size must be a multiple of 4" in error
    assert "on 2 devices" in error
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, "model=pacgan", *NETWORKS["points"])

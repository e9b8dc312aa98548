"""VEEGAN against Algorithm 1 of its paper, with the score's sign and the order of the turns as the model says."""

import copy
import json
from pathlib import Path

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main
from ganrun.networks.mlp import JointDiscriminator

SMALL = ["model=veegan", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "model.z_dim=5"]
DATA = {"ring": ["data=ring", "data.points=600"], "digits": ["data=digits"]}
SIGMA = 0.5


def srivastava(batches, g, f, d):
    """D's output is the log ratio of q(x|z) p0(z) to p(z|x) p(x), as in the paper: minus the model's score."""
    w_optimizer = torch.optim.Adam(d.parameters(), 1e-3, (0.8, 0.999))
    other_optimizer = torch.optim.Adam([*g.parameters(), *f.parameters()], 1e-3, (0.8, 0.999))
    for _, batch in batches:
        x = batch["x"]
        z_g = f(x) + SIGMA * torch.randn(len(x), 5, dtype=torch.float64)  # line 6
        z = torch.randn(len(x), 5, dtype=torch.float64)
        ratio, ratio_g = -d(z, g(z).detach()), -d(z_g.detach(), x)
        w_optimizer.zero_grad()
        (-(logsigmoid(ratio) + logsigmoid(-ratio_g)).mean()).backward()  # line 7
        w_optimizer.step()
        z = torch.randn(len(x), 5, dtype=torch.float64)
        x_g = g(z)
        distance = ((z - f(x_g)) ** 2).sum(1).mean()
        other_optimizer.zero_grad()
        (-d(z, x_g).mean() + distance).backward()  # lines 9 and 11: the first term has no gradient of F
        other_optimizer.step()


@pytest.mark.parametrize("data", DATA)
def test_the_training_is_algorithm_1(data):
    exact = ["trainer.precision=64-true", "optimizer.fused=false", "optimizer.lr=1e-3", f"seed={SEED}"]
    job = job_of(*SMALL, *DATA[data], *exact, "batch_size=8", f"model.sigma={SIGMA}")
    start = copy.deepcopy(job.model).double()
    g, f, d = (copy.deepcopy(net) for net in (start.generator, start.reconstructor, start.discriminator))
    train(job, 3)
    srivastava(batches_of(job, torch.float64, 3), g, f, d)
    assert_moved(job.model, start)
    for found, expected in ((job.model.generator, g), (job.model.reconstructor, f), (job.model.discriminator, d)):
        assert_same_weights(found, expected, atol=NEAR)


def test_the_joint_discriminator_judges_noise_and_example_together():
    d = JointDiscriminator((2,), 3, hidden=[8], pieces=2)
    z, x = torch.randn(6, 3), torch.randn(6, 2)
    score = d(z, x)
    assert score.shape == (6,)
    assert not torch.isclose(score, d(z.flip(0), x)).all()
    assert not torch.isclose(score, d(z, x.flip(0))).all()


@pytest.mark.parametrize("network", ["points", "mlp", "maxout"])
@pytest.mark.parametrize("regularizer", ["", "r1,r2", "gradient_penalty"])
def test_the_command_trains_and_samples(network, regularizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ["batch_size=8", "kimg=0.016", "metrics=none", "logger=none", f"regularizer=[{regularizer}]"]
    data = DATA["ring" if network == "points" else "digits"]
    assert main(["train", *SMALL, *data, f"network={network}", *settings, "loss=relativistic", "folder=run"]) == 0
    assert main(["sample", "run", "n=3"]) == 0


def test_the_reconstructor_is_an_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = job_of(*SMALL, *DATA["digits"])
    x = torch.rand(3, 1, 28, 28) * 2 - 1
    assert torch.equal(job.model.encode(x), job.model.net("reconstructor").eval()(x))
    settings = [*SMALL, *DATA["digits"], "batch_size=8", "kimg=0.016", "metrics.samples=16", "logger=none"]
    assert main(["train", *settings, "folder=run"]) == 0
    assert {"val/reconstruction_l1", "val/kept_lenet"} <= json.loads(Path("run/status.json").read_text())["last"].keys()
    assert Path("run/reconstructions.png").is_file()
    assert main(["export", "run", "out=bundle", "format=safetensors"]) == 0
    assert main(["look", "bundle", "path=[0,1]", "out=out"]) == 0


def test_a_network_without_a_reconstructor_is_refused_with_those_that_have_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=veegan", "data=digits", "network=dcgan"]) == 2
    error = capsys.readouterr().err
    assert "which network=dcgan does not have" in error
    assert "network=mlp" in error


@pytest.mark.slow
def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *SMALL, *DATA["ring"])

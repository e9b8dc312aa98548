"""BiGAN and ALI against loops of plain torch, and by the command."""

import copy
import json
from pathlib import Path

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.run_pictures import pictures_of
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main

EXACT = ["trainer.precision=64-true", "optimizer.fused=false", "network.joint.dropout=0", f"seed={SEED}"]
D_RATE, G_RATE = 2e-4, 1e-3
FLOAT64 = torch.float64


def donahue(batches, g, e, d, is_gaussian):
    """max_D min_{G,E} E log D(x, E(x)) + E log(1 - D(G(z), z)); G and E raise the logarithms of the wrong answers."""
    d_optimizer = torch.optim.Adam(d.parameters(), D_RATE, (0.5, 0.999))
    g_optimizer = torch.optim.Adam([*g.parameters(), *e.parameters()], G_RATE, (0.5, 0.999))

    def scores(x):
        z = torch.randn(len(x), 5, dtype=FLOAT64)
        made, code = g(z), e(x)
        if is_gaussian:
            mean, log_variance = code
            code = mean + log_variance.exp().sqrt() * torch.randn(len(x), 5, dtype=FLOAT64)
        return d(code, x), d(z, made)

    for _, batch in batches:
        real, fake = scores(batch["x"])
        d_optimizer.zero_grad()
        (-(logsigmoid(real) + logsigmoid(-fake)).mean()).backward()
        d_optimizer.step()
        real, fake = scores(batch["x"])
        g_optimizer.zero_grad()
        (-(logsigmoid(fake) + logsigmoid(-real)).mean()).backward()
        g_optimizer.step()


@pytest.mark.parametrize("name", ["bigan", "ali"])
def test_the_training_is_the_game_of_the_paper(name):
    job = job_of(*CODED[name], *EXACT)
    start = copy.deepcopy(job.model).double()
    g, e, d = (copy.deepcopy(net) for net in (start.generator, start.encoder, start.discriminator))
    train(job, 3)
    donahue(batches_of(job, FLOAT64, 3), g, e, d, is_gaussian=name == "ali")
    assert_moved(job.model, start)
    for found, expected in ((job.model.generator, g), (job.model.encoder, e), (job.model.discriminator, d)):
        assert_same_weights(found, expected, atol=NEAR)


@pytest.mark.parametrize("name", ["bigan", "ali"])
def test_the_encoder_s_codes_are_those_that_the_generator_decodes(name):
    model = job_of(*CODED[name]).model
    x = torch.rand(6, 1, 28, 28) * 2 - 1
    z = model.encode(x)
    assert z.shape == (6, 5)
    assert torch.equal(model.reconstruct(x), model.decode(z))
    assert torch.equal(model.encode(x), z)  # the mean, without noise


def test_the_command_trains_scores_and_shows_reconstructions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = [*CODED["bigan"], "kimg=0.04", "metrics.samples=50", "logger=none"]
    assert main(["train", *settings, "folder=run"]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    assert {"val/fd_lenet", "val/reconstruction_l1", "val/kept_lenet"} <= scores.keys()
    assert pictures_of("run") == {"samples", "reconstructions", "path", "directions"}
    assert main(["sample", "run", "n=4"]) == 0


def test_points_have_codes_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "model.z_dim=3", "kimg=0.2"]
    assert main(["train", "model=bigan", "data=ring", "network=points", *small, "logger=none", "folder=run"]) == 0
    assert pictures_of("run") == {"samples"}


def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *CODED["ali"])

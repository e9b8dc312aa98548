"""VAE/GAN against a loop of plain torch and torch.distributions, and by the command."""

import copy
import json
from pathlib import Path

import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, SMALL_DIGITS, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.run_pictures import pictures_of
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main

EXACT = ["trainer.precision=64-true", "optimizer.fused=false", "model.gamma=0.03", f"seed={SEED}"]
FLOAT64 = torch.float64


def larsen(batches, decoder, encoder, d):
    """Algorithm 1: D maximizes L_GAN, Enc minimizes L_prior + L_llike, Dec minimizes gamma L_llike and confuses D."""
    optimizers = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (d, encoder, decoder)]

    def posterior(x):
        mean, log_variance = encoder(x)
        return Normal(mean, log_variance.exp().sqrt())

    def noise(n):
        return torch.randn(n, 5, dtype=FLOAT64)

    def step(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def found(x):
        q = posterior(x)
        return q, decoder(q.mean + q.stddev * noise(len(x)))

    def judge(wanted, other):
        """Scores, and -log N(wanted; Dis_l(other), 1) up to a constant, summed over the features: a mean over x."""
        scores, features = d(other)
        features, wanted = features.flatten(1), wanted.flatten(1)
        constant = Normal(torch.zeros((), dtype=FLOAT64), 1).log_prob(torch.zeros((), dtype=FLOAT64))
        return scores, (constant - Normal(features, 1).log_prob(wanted)).sum(1).mean()

    for _, batch in batches:
        x = batch["x"]
        _, other = found(x)
        made = decoder(noise(len(x)))
        real, fakes = d(x)[0], [d(other)[0], d(made)[0]]
        step(optimizers[0], -(logsigmoid(real) + sum(logsigmoid(-fake) for fake in fakes) / 2).mean())

        q, other = found(x)
        prior = Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        wanted = d(x)[1].detach()
        step(optimizers[1], kl_divergence(q, prior).sum(1).mean() + judge(wanted, other)[1])

        _, other = found(x)
        scores, error = judge(wanted, other)
        fake = d(decoder(noise(len(x))))[0]
        step(optimizers[2], 0.03 * error - logsigmoid(scores).mean() - logsigmoid(fake).mean())


def test_the_training_is_algorithm_1_of_the_paper():
    job = job_of(*CODED["vaegan"], *EXACT)
    start = copy.deepcopy(job.model).double()
    nets = [copy.deepcopy(net) for net in (start.generator, start.encoder, start.discriminator)]
    train(job, 3)
    larsen(batches_of(job, FLOAT64, 3), *nets)
    assert_moved(job.model, start)
    for found, expected in zip((job.model.generator, job.model.encoder, job.model.discriminator), nets, strict=True):
        assert_same_weights(found, expected, atol=NEAR)


def test_the_command_trains_scores_and_shows_reconstructions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *CODED["vaegan"], "kimg=0.04", "metrics.samples=50", "logger=none", "folder=run"]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    assert {"val/fd_lenet", "val/reconstruction_mse", "val/kept_lenet"} <= scores.keys()
    assert pictures_of("run") == {"samples", "reconstructions", "path", "directions"}


def test_other_losses_and_penalties_of_the_discriminator_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["model=vaegan", "network.width=4", *SMALL_DIGITS, "kimg=0.02", "metrics=none", "logger=none", "folder=run"]
    assert main(["train", *small, "loss=relativistic", "regularizer=[r1]", "model.d_steps=2"]) == 0


def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *CODED["vaegan"])

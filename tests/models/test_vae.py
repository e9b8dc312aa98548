"""The autoencoder and the variational one against closed forms and loops of plain torch."""

import copy

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.runs import QUIET
from torch.distributions import Bernoulli, Normal, kl_divergence

from ganrun.cli.main import main
from ganrun.models.likelihoods import bernoulli, gaussian
from ganrun.models.vae import VAE, gaussian_kl

VAE_SMALL, AUTOENCODER_SMALL = CODED["vae"], CODED["autoencoder"]
EXACT = ["trainer.precision=64-true", "optimizer.fused=false", f"seed={SEED}"]
FLOAT64 = torch.float64
RATE = "optimizer.lr=0.1"


def test_the_divergence_and_its_gradient_are_the_closed_forms():
    mean, log_variance = torch.randn(2, 7, 3, dtype=FLOAT64).requires_grad_().unbind()
    mean, log_variance = (x.detach().float().requires_grad_() for x in (mean, log_variance))
    found = gaussian_kl(mean, log_variance)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(found, expected, atol=1e-5)
    of_mean, of_log = torch.autograd.grad(found.sum(), (mean, log_variance))
    assert torch.allclose(of_mean, mean)
    assert torch.allclose(of_log, (log_variance.exp() - 1) / 2, atol=1e-6)


def test_the_likelihoods_are_those_of_the_distributions():
    x, output = torch.rand(5, 1, 4, 4) * 2 - 1, torch.rand(5, 1, 4, 4) * 2 - 1
    constant = 16 * torch.tensor(2 * torch.pi).log() / 2
    of_normal = -Normal(output, 1.0).log_prob(x).flatten(1).sum(1) - constant
    assert torch.allclose(gaussian(output, x), of_normal, atol=1e-4)
    white = (x > 0).float()
    of_bernoulli = -Bernoulli((output + 1) / 2).log_prob(white).flatten(1).sum(1)
    assert torch.allclose(bernoulli(output, 2 * white - 1), of_bernoulli, atol=1e-4)


class Given(torch.nn.Module):
    """An encoder that returns the same mean and log variance for each example."""

    def __init__(self, mean, log_variance):
        super().__init__()
        self.mean, self.log_variance = torch.nn.Parameter(mean), torch.nn.Parameter(log_variance)

    def forward(self, x):
        return self.mean.expand(len(x), -1), self.log_variance.expand(len(x), -1)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_loss_and_gradient_of_a_linear_decoder_are_the_closed_form(beta):
    """Noise +-sqrt(d) e_i has mean 0 and covariance I, so that its mean of a quadratic is that of N(0, I)."""
    d, x = 3, torch.randn(5)
    encoder, decoder = Given(torch.randn(d), torch.randn(d)), torch.nn.Linear(d, 5)
    model = VAE(encoder, decoder, z_dim=d, likelihood="gaussian", beta=beta, optimizers={})
    corners = d**0.5 * torch.cat([torch.eye(d), -torch.eye(d)])
    model.noise = lambda n, generator=None: corners
    loss = model.reconstruction_loss({"x": x.expand(2 * d, -1)})["loss"]
    mean, variance = encoder.mean, encoder.log_variance.exp()
    expected = (x - decoder.weight @ mean - decoder.bias).square().sum() / 2
    expected = expected + (decoder.weight.square() * variance).sum() / 2
    expected = expected + beta * (mean.square() + variance - 1 - variance.log()).sum() / 2
    assert torch.allclose(loss, expected, rtol=1e-5)
    weights = [encoder.mean, encoder.log_variance, *decoder.parameters()]
    for found, wanted in zip(*(torch.autograd.grad(y, weights) for y in (loss, expected)), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def kingma(batches, encoder, decoder, beta):
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    for _, batch in batches:
        x = batch["x"]
        mean, log_variance = encoder(x)
        z = mean + log_variance.exp().sqrt() * torch.randn(len(x), 5, dtype=FLOAT64)
        p, t = ((image + 1) / 2 for image in (decoder(z), x))
        nothing = (t * p.log() + (1 - t) * (1 - p).log()).flatten(1).sum(1)
        divergence = kl_divergence(Normal(mean, log_variance.exp().sqrt()), Normal(0.0, 1.0)).sum(1)
        optimizer.zero_grad()
        (beta * divergence - nothing).mean().backward()
        optimizer.step()


def test_the_training_of_a_vae_is_that_of_the_paper():
    job = job_of(*VAE_SMALL, *EXACT, "model.beta=2")
    start = copy.deepcopy(job.model).double()
    encoder, decoder = copy.deepcopy(start.encoder), copy.deepcopy(start.decoder)
    train(job, 3)
    kingma(batches_of(job, FLOAT64, 3), encoder, decoder, 2)
    assert_moved(job.model, start)
    assert_same_weights(job.model.encoder, encoder, atol=NEAR)
    assert_same_weights(job.model.decoder, decoder, atol=NEAR)


def test_the_training_of_an_autoencoder_reduces_the_squared_error():
    job = job_of(
        *AUTOENCODER_SMALL, *EXACT, "optimizer=sgd", "~optimizer.betas", "optimizer.momentum=0", "optimizer.lr=0.1"
    )
    start = copy.deepcopy(job.model).double()
    encoder, decoder = copy.deepcopy(start.encoder), copy.deepcopy(start.decoder)
    train(job, 2)
    for _, batch in batches_of(job, FLOAT64, 2):
        loss = ((decoder(encoder(batch["x"])) - batch["x"]) ** 2).mean()
        for w, gradient in zip(
            [*encoder.parameters(), *decoder.parameters()],
            torch.autograd.grad(loss, [*encoder.parameters(), *decoder.parameters()]),
            strict=True,
        ):
            w.data -= 0.1 * gradient
    assert_moved(job.model, start)
    assert_same_weights(job.model.encoder, encoder, atol=NEAR)
    assert_same_weights(job.model.decoder, decoder, atol=NEAR)


def test_an_unknown_likelihood_is_refused_with_the_known_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *VAE_SMALL, "model.likelihood=binomial", *QUIET]) == 2
    assert "model.likelihood must be one of bernoulli, gaussian, got binomial" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@pytest.mark.parametrize("words", [VAE_SMALL, AUTOENCODER_SMALL], ids=["vae", "autoencoder"])
def test_a_killed_training_resumes_exactly(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *words)

"""Models that get the class otherwise than by joining it to the input, against loops written from their papers."""

import copy

import pytest
import torch
from helpers.model_training import job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import batch_norm, cross_entropy, softplus

from ganrun.networks.projection import ConditionalBatchNorm, ConditionalNormGenerator, ProjectionDiscriminator

SMALL = [
    "data=digits",
    "network.width=4",
    "batch_size=8",
    f"seed={SEED}",
    "trainer.precision=64-true",
    "optimizer.fused=false",
]
BATCHES = 5


def adam(network, lr=4e-4, betas=(0.5, 0.999)):
    return torch.optim.Adam(network.parameters(), lr, betas)


def noise(n):
    return torch.randn(n, 64, dtype=torch.float64)


def assert_same_training(job, algorithm):
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    algorithm(job, g, d)
    train(job, BATCHES)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)


def odena(job, g, d):
    """D ascends L_C + L_S and G ascends L_C - L_S, with the loss of practice for its part of L_S."""
    d_optimizer, g_optimizer = adam(d), adam(g)
    for _, batch in batches_of(job, torch.float64, BATCHES):
        x, y = batch["x"], batch["y"]
        d_optimizer.zero_grad()
        (real, of_real), (fake, of_fake) = d(x), d(g(noise(len(x)), y).detach())
        source = softplus(-real).mean() + softplus(fake).mean()
        (source + cross_entropy(of_real, y) + cross_entropy(of_fake, y)).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        scores, logits = d(g(noise(len(x)), y))
        (softplus(-scores).mean() + cross_entropy(logits, y)).backward()
        g_optimizer.step()


def test_the_training_of_acgan_is_that_of_the_paper():
    assert_same_training(job_of("model=acgan", *SMALL), odena)


def miyato(job, g, d):
    """Hinge losses; the singular vectors of both copies of D move with each of its passes."""
    d_optimizer, g_optimizer = adam(d, betas=(0.0, 0.999)), adam(g, betas=(0.0, 0.999))
    for _, batch in batches_of(job, torch.float64, BATCHES):
        x, y = batch["x"], batch["y"]
        d_optimizer.zero_grad()
        real, fake = d(x, y), d(g(noise(len(x)), y).detach(), y)
        ((1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()).backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        (-d(g(noise(len(x)), y), y).mean()).backward()
        g_optimizer.step()


def test_the_training_of_the_projection_gan_is_that_of_the_paper():
    assert_same_training(job_of("model=projection", *SMALL), miyato)


def test_conditional_batch_norm_normalizes_all_together_and_scales_by_class():
    norm, y = ConditionalBatchNorm(3, 4), torch.tensor([2, 0, 2, 1])
    x = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        norm.scale.copy_(torch.arange(12.0).view(4, 3))
        norm.shift.copy_(-torch.arange(12.0).view(4, 3))
    plain, result = batch_norm(x, None, None, training=True), norm(x, y)
    for i, label in enumerate(y.tolist()):
        for channel in range(3):
            value = 3 * label + channel
            assert torch.allclose(result[i, channel], plain[i, channel] * value - value, atol=1e-4)


def test_the_projection_is_an_inner_product_with_the_class():
    d = ProjectionDiscriminator([1, 28, 28], classes=10, width=4)
    x, y = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.tensor([7, 0, 7])
    maps = d.features(x).flatten(1)
    weight = d.phi.weight.flatten(1)
    for i, label in enumerate(y.tolist()):
        phi = [max(0.0, (maps[i] @ row + bias).item()) for row, bias in zip(weight, d.phi.bias, strict=True)]
        inner = sum(a * b for a, b in zip(d.v.weight[label].tolist(), phi, strict=True))
        psi = sum(a * b for a, b in zip(d.psi.weight[0].tolist(), phi, strict=True)) + d.psi.bias.item()
        assert d(x, y)[i].item() == pytest.approx(inner + psi, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 32, 48]])
def test_the_generator_gives_images_that_depend_on_the_class(shape):
    torch.manual_seed(0)
    g = ConditionalNormGenerator(shape, z_dim=6, classes=3, width=4)
    z = torch.randn(2, 6)
    x = g(z, torch.tensor([0, 1]))
    assert x.shape == (2, *shape)
    assert x.abs().max() <= 1
    assert not torch.allclose(x[1], g(z, torch.tensor([0, 2]))[1])

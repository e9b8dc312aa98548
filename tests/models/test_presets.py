"""The models that are configs alone, against loops written from their papers with plain torch."""

import copy

import pytest
import torch
from helpers.model_training import PRESETS, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import logsigmoid, relu
from torch.nn.utils import parametrizations, parametrize

COUNT, D_STEPS, Z_DIM = 6, 2, 7  # three steps of the generator


def slope(d, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(d(x).sum(), x, create_graph=True)[0].flatten(1)


def none(d, x, fake):
    return 0


def gulrajani(d, x, fake):
    """Gulrajani et al. 2017, Algorithm 1, lines 6 and 7."""
    epsilon = torch.rand(len(x), dtype=torch.float64).view(-1, *[1] * (x.ndim - 1))
    return 10 * ((slope(d, epsilon * x + (1 - epsilon) * fake).norm(2, dim=1) - 1) ** 2).mean()


def kodali(d, x, fake):
    noise = torch.randn(x.shape, dtype=torch.float64)
    return 10 * ((slope(d, x + 0.5 * x.std() * noise).norm(2, dim=1) - 1) ** 2).mean()


def huang(d, x, fake):
    """Huang et al. 2024, eq. 3, with gamma 10 for both."""
    return sum(10 / 2 * (slope(d, points) ** 2).sum(1).mean() for points in (x, fake))


ALGORITHMS = {  # loss of D, loss of G, penalty, (learning rate, betas)
    "lsgan": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f, r: ((f - 1) ** 2).mean() / 2,
        none,
        (2e-4, (0.5, 0.999)),
    ),
    "wgan_gp": (lambda r, f: f.mean() - r.mean(), lambda f, r: -f.mean(), gulrajani, (1e-4, (0.0, 0.9))),
    "sngan": (
        lambda r, f: relu(1 - r).mean() + relu(1 + f).mean(),
        lambda f, r: -f.mean(),
        none,
        (2e-4, (0.0, 0.9)),
    ),
    "dragan": (
        lambda r, f: -logsigmoid(r).mean() - logsigmoid(-f).mean(),
        lambda f, r: -logsigmoid(f).mean(),
        kodali,
        (2e-4, (0.5, 0.999)),
    ),
    "r3gan": (
        lambda r, f: -logsigmoid(r - f).mean(),
        lambda f, r: -logsigmoid(f - r).mean(),
        huang,
        (5e-4, (0.0, 0.99)),
    ),
}


def plain_loop(batches, g, d, name):
    d_loss, g_loss, penalty, (lr, betas) = ALGORITHMS[name]
    d_optimizer = torch.optim.Adam(d.parameters(), lr, betas)
    g_optimizer = torch.optim.Adam(g.parameters(), lr, betas)
    for number, batch in batches:
        x = batch["x"]
        d_optimizer.zero_grad()
        real = d(x)
        fake = g(torch.randn(len(x), Z_DIM, dtype=torch.float64)).detach()
        loss = d_loss(real, d(fake)) + penalty(d, x, fake)
        loss.backward()
        d_optimizer.step()
        if number % D_STEPS == D_STEPS - 1:
            g_optimizer.zero_grad()
            fakes = d(g(torch.randn(len(x), Z_DIM, dtype=torch.float64)))
            g_loss(fakes, d(x) if name == "r3gan" else None).backward()
            g_optimizer.step()


def with_torchs_spectral_norm(network, plain):
    """Give a plain network torch's own normalization, in the state of one with ours. Return it."""
    ours = [layer for layer in network.modules() if parametrize.is_parametrized(layer, "weight")]
    theirs = [layer for layer in plain.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
    for own, layer in zip(ours, theirs, strict=True):
        layer.load_state_dict({"weight": own.parametrizations.weight.original, "bias": own.bias})
        parametrizations.spectral_norm(layer)
        layer.parametrizations.weight[0]._u.copy_(own.parametrizations.weight[0].u)
        layer.parametrizations.weight[0]._v.copy_(own.parametrizations.weight[0].v)
    return plain


@pytest.mark.parametrize("data", ["digits", "ring"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_training_of_a_preset_is_that_of_its_paper(name, data):
    exact = ["trainer.precision=64-true", "optimizer.fused=false", "schedule=constant", f"seed={SEED}"]
    small = PRESETS[name] if data == "digits" else [f"model={name}", "data=ring", "data.points=600"]
    sizes = ["batch_size=8", f"model.z_dim={Z_DIM}", f"model.d_steps={D_STEPS}"]
    job = job_of(*small, *exact, *sizes)
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    if name == "sngan":
        d = with_torchs_spectral_norm(d, job_of(*small, *sizes, "regularizer=[]").model.double().discriminator)
    train(job, COUNT)
    plain_loop(batches_of(job, torch.float64, COUNT), g, d, name)
    assert_moved(job.model.generator, start.generator)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    found, expected = (
        sorted(network.parameters(), key=lambda w: [*w.shape]) for network in (job.model.discriminator, d)
    )
    for w, v in zip(found, expected, strict=True):
        assert torch.allclose(w, v, rtol=0, atol=NEAR)


@pytest.mark.parametrize("name", ["wgan_gp", "dragan", "sngan", "r3gan"])
def test_the_discriminator_has_no_batch_norm(name):
    modules = job_of(*PRESETS[name]).model.discriminator.modules()
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in modules)


@pytest.mark.parametrize("network", ["mlp", "dcgan_critic", "resnet_small"])
def test_wgan_gp_has_the_papers_kinds_of_network(network):
    width = [] if network == "mlp" else ["network.width=4"]
    job = job_of("model=wgan_gp", f"network={network}", *width, "data=digits", "batch_size=4")
    assert train(job, 5).model.batches_seen == 5

"""What stays in float32 when networks compute in bfloat16 on a CPU."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import SMALL, job_of, train
from torch import nn
from torch.nn.functional import softplus

from ganrun.metrics.sampling import generate_batches
from ganrun.models.base import Adversarial, Player
from ganrun.training.callbacks.callback_list import CallbackList

BFLOAT16 = "trainer.precision=bf16-mixed"
MODELS = sorted(SMALL)


class Losses(pl.Callback):
    """Keeps the loss terms of each batch, and what is not float32 among weights, gradients and optimizer states."""

    def __init__(self):
        self.terms, self.others = [], set()

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.terms.append(copy.copy(model.terms))
        numbers = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        gradients = {f"{name}.grad": w.grad for name, w in model.named_parameters() if w.grad is not None}
        states = {
            f"{i}.{key}": value
            for i, optimizer in enumerate(trainer.optimizers)
            for state in optimizer.state.values()
            for key, value in state.items()
        }
        for name, value in {**numbers, **gradients, **states}.items():
            if torch.is_tensor(value) and value.is_floating_point() and value.dtype != torch.float32:
                self.others.add(name)


def train_in_bfloat16(model, batches, *overrides):
    found = Losses()
    job = train(job_of(*SMALL[model], BFLOAT16, "trainer.batches_per_step=1", *overrides), batches, found)
    return job, found


@pytest.mark.parametrize("model", MODELS)
def test_losses_weights_gradients_statistics_and_optimizers_are_float32(model):
    _, found = train_in_bfloat16(model, 6, "ema.half_life_kimg=0.01")
    assert found.others == set()
    terms = {
        f"{player}.{name}": value
        for batch in found.terms
        for player, all_terms in batch.items()
        for name, value in all_terms.items()
        if not name.startswith(("real", "fake"))  # raw scores, for the curves
    }
    assert len(terms) >= 2
    assert {value.dtype for value in terms.values()} == {torch.float32}


@pytest.mark.parametrize("model", ["dcgan", "cgan"])
def test_scores_of_discriminators_are_bfloat16_so_that_the_networks_do_compute_in_it(model):
    _, found = train_in_bfloat16(model, 2)
    assert found.terms[-1]["discriminator"]["real"].dtype == torch.bfloat16


def test_the_average_of_weights_is_that_of_float32_weights():
    """The slow loop averages the network's weights after each batch in float64."""
    job = job_of(*SMALL["dcgan"], BFLOAT16, "trainer.batches_per_step=1", "ema.half_life_kimg=0.01")
    expected = {name: w.detach().double() for name, w in job.model.generator.named_parameters()}

    class Average(pl.Callback):
        def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
            decay = model.average.decay(job.data.batch_size, model.images_seen - job.data.batch_size)
            for name, w in model.generator.named_parameters():
                expected[name] = decay * expected[name] + (1 - decay) * w.detach().double()

    train(job, 6, Average())
    for name, w in job.model.averaged["generator"].named_parameters():
        torch.testing.assert_close(w.detach().double(), expected[name], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_batchnorm_adds_up_its_statistics_in_float32(layout):
    norm, x = nn.BatchNorm2d(4, momentum=1.0), 3 + torch.randn(64, 4, 16, 16)
    x = x.bfloat16().contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert (y.dtype, norm.running_mean.dtype, norm.running_var.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    exact = x.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(norm.running_mean.double(), exact.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var.double(), exact.var(1), rtol=1e-5, atol=0)


class Look(pl.Callback):
    """Draws the samples that scores are computed from, as a validation does."""

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.is_cast = torch.is_autocast_enabled("cpu")
        data = trainer.datamodule
        if hasattr(model, "sample"):
            self.samples = torch.cat([x for x, _ in generate_batches(model, data, 8, 4, 0)])
        else:
            self.samples = model.translate(data.test("b", 4), "a")


@pytest.mark.parametrize("model", MODELS)
def test_scores_are_computed_from_samples_in_float32(model):
    look = Look()
    job = job_of(*SMALL[model], BFLOAT16)
    job.data.setup()
    train(job, 3, CallbackList([look]))
    assert not look.is_cast
    assert look.samples.dtype == torch.float32
    with torch.autocast("cpu", enabled=False):
        if hasattr(job.model, "sample"):
            again = torch.cat([x for x, _ in generate_batches(job.model, job.data, 8, 4, 0)])
        else:
            again = job.model.translate(job.data.test("b", 4), "a")
    assert torch.equal(look.samples, again)


class Penalized(Adversarial):
    """A critic with the gradient penalty of Gulrajani et al. 2017; `in_float32`: all of the penalty, by hand."""

    def __init__(self, generator, critic, in_float32, **base):
        super().__init__(**base)
        self.generator, self.critic, self.in_float32 = generator, critic, in_float32

    def players(self):
        return [
            Player("critic", [self.critic], self.critic_loss),
            Player("generator", [self.generator], self.generator_loss),
        ]

    def penalty(self, real, fake):
        x = torch.lerp(fake.float(), real, torch.rand(len(real), 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(x).float().sum(), x, create_graph=True)
        return (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def critic_loss(self, batch):
        fake = self.generator(torch.randn(len(batch["x"]), 8)).detach()
        with torch.autocast("cpu", enabled=not self.in_float32 and torch.is_autocast_enabled("cpu")):
            penalty = self.penalty(batch["x"], fake)
        return {"loss": softplus(-self.critic(batch["x"]).float()).mean() + 10 * penalty, "penalty": penalty}

    def generator_loss(self, batch):
        return softplus(-self.critic(self.generator(torch.randn(len(batch["x"]), 8))).float()).mean()


def penalized(norm, in_float32):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 4, 2, 1), norm(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1), nn.LeakyReLU(0.2)]
    critic = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 49, 1))
    generator = nn.Sequential(nn.Linear(8, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    adam = {name: lambda weights: torch.optim.Adam(weights, 1e-4, fused=True) for name in ("critic", "generator")}
    return Penalized(generator, critic, in_float32, optimizers=adam)


def train_penalized(precision, norm, in_float32=False):
    """Train on three batches of digits and return the penalties, and the critic's gradients of the last batch."""
    job = job_of("model=dcgan", "data=digits", "batch_size=8", f"trainer.precision={precision}")
    job.model, found = penalized(norm, in_float32), Losses()
    job.data.batches_per_step = 1
    train(job, 3, found)
    assert found.others == set()
    return [batch["critic"]["penalty"] for batch in found.terms], [w.grad for w in job.model.critic.parameters()]


@pytest.mark.parametrize("norm", [nn.Identity, nn.BatchNorm2d, lambda n: nn.InstanceNorm2d(n, affine=True)])
def test_a_gradient_penalty_has_a_double_backward_in_bfloat16_and_a_float32_value(norm):
    exact, rounded = (train_penalized(precision, norm) for precision in ("32-true", "bf16-mixed"))
    assert {penalty.dtype for penalty in rounded[0]} == {torch.float32}
    for a, b in zip(exact[0], rounded[0], strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=0)
    assert all(torch.isfinite(gradient).all() for gradient in rounded[1])


def test_a_penalty_outside_of_autocast_is_that_of_float32():
    """The first batch: later ones have other weights."""
    exact, rounded = train_penalized("32-true", nn.Identity)[0], train_penalized("bf16-mixed", nn.Identity, True)[0]
    torch.testing.assert_close(exact[0], rounded[0], rtol=1e-3, atol=0)  # the fakes are of a generator in bfloat16


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_weights_in_bfloat16(model):
    first, second = (train_in_bfloat16(model, 6)[0].model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first if torch.is_tensor(first[name]))

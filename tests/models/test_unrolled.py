"""The unrolled GAN against Metz et al. 2017: a loop of plain torch, finite differences, and no steps as GAN."""

import copy

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import RING, SMALL_DIGITS, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.func import functional_call
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main
from ganrun.models.steps.differentiable import differentiable_copy

UNROLLED = [*RING, "model=unrolled", "model.z_dim=5"]
EXACT = ["trainer.precision=64-true", f"seed={SEED}"]
CONVOLUTIONS = ["network=dcgan", "network.width=4", *SMALL_DIGITS]
LR, BETA1, BETA2, EPSILON = 2e-4, 0.5, 0.999, 1e-8
Z_DIM = 5


def gaussian(n):
    return torch.randn(n, Z_DIM, dtype=torch.float64)


def d_loss(real, fake):
    return -logsigmoid(real).mean() - logsigmoid(-fake).mean()


@pytest.mark.parametrize("data", [RING, CONVOLUTIONS], ids=["ring", "digits"])
def test_no_steps_are_gan_bit_for_bit(data):
    gan = train(job_of(*data, "model=gan", "model.z_dim=5"), 5).model
    unrolled = train(job_of(*data, "model=unrolled", "model.z_dim=5", "model.unrolled_steps=0"), 5).model
    assert_same_weights(unrolled, gan)


def adam(weights, slopes, first, second, step):
    """Kingma & Ba 2015, Algorithm 1, with gradients that flow through it."""
    for name, slope in slopes.items():
        first[name] = BETA1 * first[name] + (1 - BETA1) * slope
        second[name] = BETA2 * second[name] + (1 - BETA2) * slope**2
        m, v = first[name] / (1 - BETA1**step), second[name] / (1 - BETA2**step)
        root = torch.where(v > 0, v, 1).sqrt()  # whose slope at 0 would be infinite
        weights[name] = weights[name] - LR * m / (torch.where(v > 0, root, 0) + EPSILON)


def metz(batches, g, d, steps):
    """Eq. 6 and 7: D's step is the usual one, G's is on f(theta_G, theta_D^K)."""
    g_optimizer, d_optimizer = (torch.optim.Adam(net.parameters(), LR, (BETA1, BETA2)) for net in (g, d))
    for _, batch in batches:
        x = batch["x"]
        d_optimizer.zero_grad()
        d_loss(d(x), d(g(gaussian(len(x))).detach())).backward()
        d_optimizer.step()
        weights = {name: w.detach().requires_grad_() for name, w in d.named_parameters()}
        states = {name: d_optimizer.state[w] for name, w in d.named_parameters()}
        first, second = ({name: s[kind] for name, s in states.items()} for kind in ("exp_avg", "exp_avg_sq"))
        count = int(next(iter(states.values()))["step"])
        fake = g(gaussian(len(x)))
        for k in range(1, steps + 1):
            loss = d_loss(functional_call(d, weights, (x,)), functional_call(d, weights, (fake,)))
            slopes = torch.autograd.grad(loss, [*weights.values()], create_graph=True)
            adam(weights, dict(zip(weights, slopes, strict=True)), first, second, count + k)
        g_optimizer.zero_grad()
        (-logsigmoid(functional_call(d, weights, (fake,))).mean()).backward()
        g_optimizer.step()


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("pieces", [1, 5])
def test_the_training_is_that_of_metz_et_al(steps, pieces):
    units = f"network.discriminator.pieces={pieces}"
    job = job_of(*UNROLLED, *EXACT, "optimizer.fused=false", units, f"model.unrolled_steps={steps}")
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    train(job, 3)
    metz(batches_of(job, torch.float64, 3), g, d, steps)
    assert_moved(job.model.generator, start.generator)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)


@pytest.mark.parametrize(
    "settings", [["regularizer=[r1]"], ["loss=relativistic"], ["optimizer=rmsprop"], ["optimizer=sgd"]]
)
def test_the_gradient_is_that_of_finite_differences_of_real_steps_of_d(settings, monkeypatch):
    job = train(job_of(*UNROLLED, *EXACT, *settings, "model.unrolled_steps=3", "optimizer.lr=0.01"), 2)
    model, batch = job.model, {"x": job.data.batch(7)["x"].double()}
    (w, *_), h = [*model.generator.parameters()], 1e-6
    z = gaussian(len(batch["x"]))
    monkeypatch.setattr(model, "noise", lambda n, generator=None: z)

    def loss_after_real_steps():
        d, optimizer = model.discriminator, model.optimizer_of("discriminator")
        before = copy.deepcopy(d.state_dict()), copy.deepcopy(optimizer.state_dict())
        x = model.generator(z).detach()
        for _ in range(3):
            optimizer.zero_grad()
            model.loss_on(x, batch).backward()
            optimizer.step()
        with torch.no_grad():
            real = model.score(batch["x"], batch) if model.objective.is_relative else None
            value = model.objective.generator(model.score(x, batch), real).item()
        d.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
        return value

    (slope,) = torch.autograd.grad(model.generator_loss(batch), w)
    index = slope.abs().argmax()
    values = w.data.view(-1)
    values[index] += h
    above = loss_after_real_steps()
    values[index] -= 2 * h
    assert slope.view(-1)[index].item() == pytest.approx((above - loss_after_real_steps()) / (2 * h), rel=1e-4)


def test_the_turn_of_g_leaves_d_and_its_optimizer_alone():
    job = train(job_of(*UNROLLED), 2)
    model, optimizer = job.model, job.model.optimizer_of("discriminator")
    before = copy.deepcopy((model.discriminator.state_dict(), optimizer.state_dict()["state"]))
    gradients = torch.autograd.grad(model.generator_loss(job.data.batch(3)), [*model.generator.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)
    torch.testing.assert_close(
        (model.discriminator.state_dict(), optimizer.state_dict()["state"]), before, rtol=0, atol=0
    )


def test_weights_without_any_gradient_so_far_give_no_nan():
    w, dead = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = torch.optim.Adam([w, dead])
    for parameter in (w, dead):
        parameter.grad = torch.zeros(2)
    optimizer.step()
    copies = {w: w.detach().clone(), dead: dead.detach().clone()}
    unrolled = differentiable_copy(optimizer, copies)
    x = torch.ones(2, requires_grad=True)
    copies[w].grad, copies[dead].grad = 3 * x, 0 * x
    unrolled.step()
    (slope,) = torch.autograd.grad(copies[w].sum() + copies[dead].sum(), x)
    assert slope.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [CONVOLUTIONS, [*CONVOLUTIONS, "regularizer=[spectral_norm]"], [*SMALL_DIGITS]])
def test_the_command_trains_networks_for_images_and_samples(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["kimg=0.008", "model.unrolled_steps=2", "metrics=none", "logger=none", "folder=run"]
    assert main(["train", "model=unrolled", *settings, *args]) == 0
    assert main(["sample", "run", "n=3"]) == 0


def test_an_optimizer_without_differentiable_steps_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *UNROLLED, "optimizer=optimistic"]) == 2
    assert "The steps of OptimisticSGD cannot be unrolled" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *UNROLLED)

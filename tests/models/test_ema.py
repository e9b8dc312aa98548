"""The averaged networks against closed forms and a slow loop."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import SMALL, job_of, train
from torch import nn

from ganrun.models.ema import ExponentialMovingAverage

FOREVER = 1e12  # a ramp_up that never binds


def one_weight(value):
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, value)
    return net


@pytest.mark.parametrize("batch", [1, 10, 250])
def test_after_one_half_life_half_of_the_first_weight_is_left_whatever_the_batch(batch):
    mean, live = one_weight(1.0), one_weight(0.0)
    average = ExponentialMovingAverage(half_life_kimg=0.5, ramp_up=FOREVER)
    for seen in range(0, 500, batch):
        average.update(mean, live, batch, seen)
    assert float(mean.weight.detach()) == pytest.approx(0.5, rel=1e-5)


def test_one_update_for_many_images_equals_many_updates_for_one():
    average = ExponentialMovingAverage(half_life_kimg=2, ramp_up=FOREVER)
    assert average.decay(64, 0) == pytest.approx(average.decay(1, 0) ** 64)


@pytest.mark.parametrize(("seen", "half_life"), [(0, 5), (900, 50), (9_900, 500), (19_900, 1000), (1_000_000, 1000)])
def test_the_half_life_is_a_share_of_the_images_seen_until_it_reaches_its_setting(seen, half_life):
    assert ExponentialMovingAverage(half_life_kimg=1, ramp_up=0.05).decay(100, seen) == pytest.approx(
        0.5 ** (100 / half_life)
    )


def test_buffers_are_copied():
    mean, live = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    live(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    ExponentialMovingAverage(1.0).update(mean, live, 8, 0)
    assert torch.equal(mean.running_mean, live.running_mean)
    assert torch.equal(mean.running_var, live.running_var)
    assert int(mean.num_batches_tracked) == 1


class Snapshots(pl.Callback):
    """The live weights of networks after each batch."""

    def __init__(self, *names):
        self.weights = {name: [] for name in names}

    def on_train_batch_end(self, trainer, model, *args):
        for name, weights in self.weights.items():
            weights.append([w.detach().double().clone() for w in getattr(model, name).parameters()])


def slow_average(start, snapshots, batch, half_life, ramp_up):
    means = [w.detach().double().clone() for w in start.parameters()]
    for k, weights in enumerate(snapshots):
        keep = 2.0 ** (-batch / min(half_life, ramp_up * batch * (k + 1)))
        means = [keep * mean + (1 - keep) * w for mean, w in zip(means, weights, strict=True)]
    return means


@pytest.mark.parametrize(("name", "nets"), [("dcgan", ["generator"]), ("cyclegan", ["a_to_b", "b_to_a"])])
def test_the_averaged_generators_equal_those_of_a_slow_loop(name, nets):
    job = job_of(*SMALL[name], "batch_size=4", "ema.half_life_kimg=0.006", "ema.ramp_up=0.4", "optimizer.lr=0.01")
    start, snapshots = copy.deepcopy(job.model), Snapshots(*nets)
    train(job, 8, snapshots)
    assert list(job.model.averaged) == nets
    for net in nets:
        expected = slow_average(getattr(start, net), snapshots.weights[net], batch=4, half_life=6, ramp_up=0.4)
        for mean, wanted in zip(job.model.averaged[net].parameters(), expected, strict=True):
            assert torch.allclose(mean.double(), wanted, rtol=0, atol=1e-6)
        for mean, live in zip(job.model.averaged[net].buffers(), getattr(job.model, net).buffers(), strict=True):
            assert torch.equal(mean, live)


def test_an_average_counts_the_images_of_all_batches_since_the_generators_last_turn():
    overrides = ["ema.half_life_kimg=0.04", f"ema.ramp_up={FOREVER}", "model.n_critic=5", "optimizer.lr=0.01"]
    job = job_of(*SMALL["wgan"], "batch_size=8", *overrides)
    start = copy.deepcopy(job.model.generator)
    train(job, 5)
    moved = zip(start.parameters(), job.model.generator.parameters(), strict=True)
    for mean, (first, last) in zip(job.model.averaged["generator"].parameters(), moved, strict=True):
        assert torch.allclose(mean, (first + last) / 2, rtol=0, atol=1e-6)


def test_the_half_life_grows_with_the_images_before_the_first_batch_since_the_generators_last_turn():
    overrides = ["ema.half_life_kimg=0.06", "ema.ramp_up=0.5", "model.n_critic=5", "optimizer.lr=0.01"]
    job = job_of(*SMALL["wgan"], "batch_size=8", *overrides)
    start, snapshots = copy.deepcopy(job.model.generator), Snapshots("generator")
    train(job, 15, snapshots)
    expected = slow_average(start, snapshots.weights["generator"][4::5], batch=40, half_life=60, ramp_up=0.5)
    for mean, wanted in zip(job.model.averaged["generator"].parameters(), expected, strict=True):
        assert torch.allclose(mean.double(), wanted, rtol=0, atol=1e-6)


def test_an_average_does_not_change_the_training():
    with_average, without = (
        train(job_of(*SMALL["dcgan"], f"ema.half_life_kimg={kimg}"), 4).model for kimg in (1, "null")
    )
    assert not without.averaged
    for name in ("generator", "discriminator"):
        found, wanted = (getattr(model, name).state_dict().values() for model in (with_average, without))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_averaged_networks_are_never_trained_and_no_optimizer_moves_them():
    job = job_of(*SMALL["dcgan"], "ema.half_life_kimg=1")
    train(job, 2)
    mean = job.model.averaged["generator"]
    moved = {id(w) for optimizer in job.model.optimizers() for group in optimizer.param_groups for w in group["params"]}
    assert not any(module.training for module in mean.modules())
    assert not any(w.requires_grad or id(w) in moved for w in mean.parameters())

"""Samples, translations and the pictures to look at."""

import pytest
import torch
from helpers.model_training import SMALL, job_of, train

from ganrun import seeds

DRAWING = ["gan", "dcgan", "wgan", "cgan"]


@pytest.fixture(scope="module")
def jobs():
    return {name: job_of(*overrides) for name, overrides in SMALL.items()}


@pytest.mark.parametrize("name", DRAWING)
def test_samples_are_pictures_in_range_without_gradient(jobs, name):
    x = jobs[name].model.sample(3)
    assert x.shape == (3, 1, 28, 28)
    assert x.abs().max() <= 1
    assert not x.requires_grad


@pytest.mark.parametrize("name", DRAWING)
def test_samples_depend_on_the_generator_alone(jobs, name):
    model = jobs[name].model
    first = model.sample(4, generator=torch.Generator().manual_seed(5))
    torch.rand(3)
    assert torch.equal(first, model.sample(4, generator=torch.Generator().manual_seed(5)))
    assert not torch.equal(first, model.sample(4, generator=torch.Generator().manual_seed(6)))


def state_of(model):
    return [module.training for module in model.modules()], [value.clone() for value in buffers_of(model)]


def buffers_of(model):
    return [value for value in model.state_dict().values() if torch.is_tensor(value)]


@pytest.mark.parametrize("name", SMALL)
def test_looking_at_a_model_leaves_its_modes_its_buffers_and_the_random_stream_alone(jobs, name):
    model = jobs[name].model
    model.train()
    next(iter(model.children())).eval()
    modes, values = state_of(model)
    stream = torch.get_rng_state()
    if name == "cyclegan":
        model.translate(torch.zeros(2, 3, 28, 28), to="a")
    else:
        model.sample(2, generator=seeds.generator(1))
    model.pictures(jobs[name].data)
    assert torch.equal(torch.get_rng_state(), stream)
    assert state_of(model)[0] == modes
    assert all(torch.equal(a, b) for a, b in zip(buffers_of(model), values, strict=True))


def test_samples_come_from_the_averaged_generator():
    model = train(job_of(*SMALL["dcgan"], "ema.half_life_kimg=1", "ema.ramp_up=10", "optimizer.lr=0.01"), 4).model
    z = model.noise(3, torch.Generator().manual_seed(1))
    expected = model.averaged["generator"](z)
    assert torch.equal(model.sample(3, generator=torch.Generator().manual_seed(1)), expected)
    assert not torch.equal(model.generator.eval()(z), expected)


def test_the_noise_of_dcgan_is_uniform_and_that_of_the_others_normal(jobs):
    z = jobs["dcgan"].model.noise(1000, torch.Generator().manual_seed(0))
    assert float(z.abs().max()) <= 1
    assert float(z.var()) == pytest.approx(1 / 3, rel=0.02)
    for name in ("gan", "wgan", "cgan"):
        z = jobs[name].model.noise(1000, torch.Generator().manual_seed(0))
        assert float(z.var()) == pytest.approx(1, rel=0.02)
        assert float(z.mean()) == pytest.approx(0, abs=0.02)


def test_the_classes_of_cgan_take_turns_unless_they_are_chosen(jobs):
    model = jobs["cgan"].model
    by_turns = model.sample(12, generator=torch.Generator().manual_seed(1))
    chosen = model.sample(12, torch.arange(12) % 10, torch.Generator().manual_seed(1))
    other = model.sample(12, (torch.arange(12) + 1) % 10, torch.Generator().manual_seed(1))
    assert torch.equal(by_turns, chosen)
    assert not torch.equal(by_turns, other)


def test_the_pictures_of_cgan_have_a_row_for_each_class(jobs):
    model = jobs["cgan"].model
    pictures, columns = model.pictures(jobs["cgan"].data)["samples"]
    rows = torch.arange(10).repeat_interleave(columns)
    assert torch.equal(pictures, model.sample(len(rows), rows, seeds.generator(0)))


def test_the_pictures_of_cyclegan_are_columns_of_a_its_translation_and_the_way_back(jobs):
    job = jobs["cyclegan"]
    for side, other in ("ab", "ba"):
        pictures, columns = job.model.pictures(job.data)[f"{side}_to_{other}"]
        assert columns == 3
        x = job.data.test(side, 8)
        there = job.model.translate(x, to=other)
        assert torch.equal(pictures[0::3], x)
        assert torch.equal(pictures[1::3], there)
        assert torch.equal(pictures[2::3], job.model.translate(there, to=side))


def test_a_translation_is_that_of_the_averaged_network_of_its_direction():
    model = train(job_of(*SMALL["cyclegan"], "ema.half_life_kimg=1", "ema.ramp_up=10", "optimizer.lr=0.01"), 3).model
    x = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for net, to in (("a_to_b", "b"), ("b_to_a", "a")):
        assert torch.equal(model.translate(x, to), model.averaged[net](x))
        assert not torch.equal(model.translate(x, to), getattr(model, net)(x))


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
@pytest.mark.parametrize("name", SMALL)
def test_there_are_pictures_at_every_precision(name, precision):
    job = train(job_of(*SMALL[name], f"trainer.precision={precision}", "ema.half_life_kimg=1"), 2)
    assert all(torch.isfinite(examples).all() for examples, _ in job.model.pictures(job.data).values())


@pytest.mark.parametrize("name", SMALL)
def test_losses_are_float32_where_networks_compute_in_16_bits(name):
    job = train(job_of(*SMALL[name], "trainer.precision=bf16-mixed", "seed=1"), 5)
    terms = [own[term] for own in job.model.terms.values() for term in ("loss", "distance") if term in own]
    assert {value.dtype for value in terms} == {torch.float32}


def test_samples_of_points_are_points():
    model = job_of("model=gan", "data=ring", "data.points=100", "batch_size=4").model
    assert model.sample(5).shape == (5, 2)

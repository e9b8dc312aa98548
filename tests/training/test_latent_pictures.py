"""Pictures of what lies between and beside the samples, at the end of a training."""

import json
import logging

import pytest
import torch
from helpers.model_training import CODED, RING, SMALL, job_of
from helpers.run_pictures import pictures_of

import ganrun
from ganrun import seeds
from ganrun.networks.sefa import principal_directions
from ganrun.training.callbacks import samples
from ganrun.training.latent_pictures import latent_pictures

MODELS = {**SMALL, **CODED}


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "bigan"])
def test_each_row_of_the_path_leads_from_a_sample_to_the_next(name):
    job = job_of(*MODELS[name])
    model, (x, columns) = job.model, latent_pictures(job.model, job.data)["path"]
    z = model.noise(5, seeds.generator(0))
    taken = [job.data.conditions(5, ["y"])["y"]] if name == "cgan" else []
    rows = x.unflatten(0, (4, columns))
    starts = model.decode(z[:4], *(y[:4] for y in taken))
    ends = model.decode(z[1:], *(y[1:] for y in taken))
    torch.testing.assert_close(rows[:, 0], starts, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rows[:, -1], ends, atol=1e-5, rtol=1e-4)
    assert all((row[0] != row[4]).any() and (row[4] != row[-1]).any() for row in rows)


def test_gaussian_latents_go_along_the_sphere_and_uniform_ones_along_a_line(monkeypatch):
    for name, is_sphere in (("gan", True), ("dcgan", False)):
        job, seen = job_of(*MODELS[name]), []
        decode = job.model.decode
        monkeypatch.setattr(job.model, "decode", lambda z, decode=decode, seen=seen: seen.append(z) or decode(z))
        latent_pictures(job.model, job.data)
        lengths = seen[0].norm(dim=1).unflatten(0, (4, 10))
        share = torch.linspace(0, 1, 10)
        expected = lengths[:, :1] + share * (lengths[:, -1:] - lengths[:, :1])
        assert torch.allclose(lengths, expected, rtol=1e-4) == is_sphere


def test_each_row_of_the_directions_moves_a_sample_along_one():
    job = job_of(*MODELS["cgan"])
    model, (x, columns) = job.model, latent_pictures(job.model, job.data)["directions"]
    z, y = model.noise(5, seeds.generator(0)), job.data.conditions(5, ["y"])["y"]
    directions = principal_directions(model.net("generator"), z.shape[1], y[:1])
    rows = x.unflatten(0, (3, 2, columns))
    for number in range(3):
        for start in range(2):
            for place, share in ((0, -3), (9, 3)):
                expected = model.decode(z[start : start + 1] + share * directions[number], y[start : start + 1])
                torch.testing.assert_close(rows[number, start, place], expected[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (SMALL["cyclegan"], set()),
        (CODED["autoencoder"], set()),
        (RING, set()),
        (CODED["infogan"], {"path"}),  # its codes have pictures of their own
        (CODED["vae"], {"path", "directions"}),
    ],
    ids=["cyclegan", "autoencoder", "points", "infogan", "vae"],
)
def test_what_is_shown_suits_the_model(settings, names):
    job = job_of(*settings)
    assert latent_pictures(job.model, job.data).keys() == names


@pytest.mark.parametrize("name", ["dcgan", "cgan", "infogan"])
def test_drawing_leaves_modes_buffers_and_the_random_stream_alone(name):
    job = job_of(*MODELS[name])
    model = job.model.train()
    next(iter(model.children())).eval()
    modes = [module.training for module in model.modules()]
    values = {key: value.clone() for key, value in model.state_dict().items() if torch.is_tensor(value)}
    stream = torch.get_rng_state()
    latent_pictures(model, job.data)
    assert torch.equal(torch.get_rng_state(), stream)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in values.items())


def test_a_model_that_cannot_decode_ends_its_training_all_the_same(tmp_path, monkeypatch, caplog):
    def fail(model, data):
        raise TypeError("forward() takes 3 arguments")

    monkeypatch.setattr(samples, "latent_pictures", fail)
    with caplog.at_level(logging.INFO):
        ganrun.train([*SMALL["dcgan"], "metrics=none", "kimg=0.008", "logger=none", f"folder={tmp_path / 'run'}"])
    assert "No pictures of the latents: decode(z) fails with TypeError: forward() takes 3 arguments" in caplog.text
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "done"
    assert pictures_of(tmp_path / "run") == {"samples"}

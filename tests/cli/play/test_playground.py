"""What the controls of `ganrun play` change, against the model itself."""

import io

import numpy as np
import pytest
import torch
from helpers.model_training import CODED, RING, SMALL
from PIL import Image

import ganrun
from ganrun.cli.play.playground import Playground
from ganrun.data.images import make_grid
from ganrun.errors import UserError

RUNS = {
    "cgan": SMALL["cgan"],
    "infogan": CODED["infogan"],
    "autoencoder": CODED["autoencoder"],
    "points": RING,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name: trained model}"""
    folder, trained = tmp_path_factory.mktemp("runs"), {}
    for name, settings in RUNS.items():
        ganrun.train([*settings, "kimg=0.008", "metrics=none", "logger=none", f"folder={folder / name}"])
        trained[name] = ganrun.load(folder / name)
    return trained


def pixels(png):
    """The pixels of a picture of a playground, in the size of the grid: [H, W, 3]."""
    with Image.open(io.BytesIO(png)) as picture:
        factor = picture.width // 122
        return np.array(picture.convert("RGB"))[::factor, ::factor]


def grid(x):
    return make_grid(x, 4).permute(1, 2, 0).numpy()


def test_the_picture_has_the_samples_of_the_seed(runs):
    trained = runs["cgan"]
    found = pixels(Playground(trained, 8, 2).draw({"seed": 7}))
    np.testing.assert_allclose(found.astype(int), grid(trained.sample(8, seed=7)).astype(int), atol=1)


def test_a_class_is_that_of_all_samples(runs):
    trained = runs["cgan"]
    found = pixels(Playground(trained, 4, 0).draw({"class": 4}))
    np.testing.assert_allclose(found.astype(int), grid(trained.sample(4, y=3)).astype(int), atol=1)


def test_directions_are_added_and_codes_are_set(runs):
    trained, z = runs["infogan"], runs["infogan"].latents(4)
    playground = Playground(trained, 4, 3)
    z[:, :10], z[:, 10], z[:, 11] = torch.eye(10)[6], 1.5, 0
    expected = z - 2 * playground.directions[1]
    found = pixels(playground.draw({"code c1": 7, "code c2": 1.5, "direction 1": -2}))
    np.testing.assert_allclose(found.astype(int), grid(trained.sample(4, z=expected)).astype(int), atol=1)


def test_each_control_changes_the_picture(runs):
    for name in ("cgan", "infogan"):
        playground = Playground(runs[name], 4, 2)
        first = playground.draw({})
        for control in playground.controls.values():
            assert playground.draw({control.name: control.high}) != first, control.name
        assert playground.draw({}) == first


def test_the_controls_suit_the_model(runs):
    names = {name: [*Playground(runs[name], 4, 2).controls] for name in ("cgan", "infogan")}
    assert names == {
        "cgan": ["seed", "class", "direction 0", "direction 1"],
        "infogan": ["seed", "code c1", "code c2", "code c3", "direction 0", "direction 1"],
    }


@pytest.mark.parametrize(
    ("values", "is_valid"),
    [
        ({}, True),
        ({"seed": 3, "class": 10, "direction 0": -5}, True),
        ({"seed": -1}, False),
        ({"seed": 1e9}, False),
        ({"class": 11}, False),
        ({"class": 0.5}, False),
        ({"direction 0": 5.1}, False),
        ({"direction 0": float("nan")}, False),
        ({"seed": True}, False),
        ({"direction 2": 0}, False),
    ],
)
def test_other_values_are_not_taken(runs, values, is_valid):
    assert Playground(runs["cgan"], 4, 2).is_valid(values) == is_valid


@pytest.mark.parametrize(("name", "message"), [("autoencoder", "made of latents z alone"), ("points", "of images")])
def test_models_without_such_samples_are_refused(runs, name, message):
    with pytest.raises(UserError, match=message):
        Playground(runs[name], 4, 2)

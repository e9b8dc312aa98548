"""Conditions besides classes for `ganrun sample`: numbers, arrays in files, and what is wrong with them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.scenes import write_scenes

from ganrun.data.keys import Key
from ganrun.errors import UserError
from ganrun.training.given_conditions import in_shape
from ganrun.training.inference import TrainedModel

SCENERY = ["--config-dir", "mine", "model=scenery", "data=scenes", "logger=none", "kimg=0.08"]


@pytest.fixture
def sample(cli, train):
    """Returns a function: samples of a trained model of scenes with these arguments -> the arrays of samples.npz."""
    write_scenes(cli.folder)
    train(*SCENERY)

    def sample(*args, out="out"):
        assert cli.run("sample", "run", "n=6", "as=npz", f"out={out}", "trust=true", *args) == 0
        with np.load(f"{out}/samples.npz") as arrays:
            return dict(arrays)

    return sample


def test_one_example_is_for_all_samples_and_several_are_taken_in_turn(sample):
    assert sample("conditions={tokens: [3,7]}")["tokens"].tolist() == [[3, 7]] * 6
    found = sample("conditions={tokens: [[3,0],[1,0]]}", out="two")
    assert found["tokens"].tolist() == [[3, 0], [1, 0]] * 3
    assert found["layout"].shape == (6, 6, 6)


def test_what_is_left_out_is_that_of_training_examples(sample):
    assert np.array_equal(sample("conditions={tokens: [3,7]}")["layout"], sample(out="again")["layout"])


def test_arrays_come_from_files_and_decide_the_samples(sample):
    first = sample("conditions={tokens: [2,0]}")
    np.save("maps.npy", first["layout"].astype(np.uint8))
    for name, path in {"npz": "out/samples.npz", "npy": "maps.npy"}.items():
        found = sample(f"conditions={{tokens: [2,0], layout: {path}}}", out=name)
        assert np.array_equal(found["x"], first["x"])
    np.save("flat.npy", np.zeros((6, 6), int))
    flat = sample("conditions={tokens: [2,0], layout: flat.npy}", out="flat")
    assert not flat["layout"].any()
    assert not np.array_equal(flat["x"], first["x"])


def test_a_file_is_what_it_holds_in_any_order_of_bytes(sample):
    np.save("maps.npy", np.ones((6, 6), ">i8"))
    Path("maps.npy").rename("maps.npz")
    assert (sample("conditions={layout: maps.npz}")["layout"] == 1).all()


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        (Key("vector", (2,)), np.array([1.0, 1e39]), "must be finite numbers, as float32 holds them"),
        (Key("vector", (2,)), np.array([1.0, np.nan]), "must be finite numbers"),
        (Key("picture", (1, 1, 2)), np.array([[[0, 300]]]), "must be integers from 0 to 255, or float in [-1, 1]"),
    ],
)
def test_values_that_would_be_changed_are_refused(key, array, message):
    with pytest.raises(UserError, match=re.escape(message)):
        in_shape("code", array, key)
    assert in_shape("x", np.array([[[0, 255]]]), Key("picture", (1, 1, 2))).dtype == torch.uint8


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (
            "{layuot: maps.npy}",
            "conditions.layuot cannot be given. This model takes tokens, layout. Did you mean",
        ),
        ("{y: [1]}", "Classes have a setting of their own: 'classes=[3,7]'."),
        (
            "{tokens: [1]}",
            "tokens has the shape [1, 1]. An example of tokens has [2], and k examples have [k, 2].",
        ),
        ("{tokens: [[1,2],[3]]}", "conditions.tokens=[[1, 2], [3]] must be numbers"),
        ("{tokens: [1.5,2]}", "conditions.tokens must be integers."),
        ("{tokens: words}", "conditions.tokens=words must be numbers"),
        ("{layout: none.npy}", "conditions.layout=none.npy cannot be read: "),
        ("{layout: broken.npz}", "conditions.layout=broken.npz cannot be read: "),
        ("{layout: objects.npy}", "conditions.layout=objects.npy cannot be read: "),
        ("{layout: other.npz}", "conditions.layout=other.npz has no array layout, but maps."),
        ("{layout: empty.npy}", "conditions.layout has the shape [0, 6, 6]."),
        ("{tokens: [99,0]}", "The model cannot use the conditions tokens: index out of range"),
        ("5", "conditions must be a mapping, {key: value}, or null, got 5."),
    ],
)
def test_wrong_conditions_are_explained(sample, cli, capfd, conditions, message):
    (cli.folder / "broken.npz").write_bytes(b"no archive")
    np.save("objects.npy", np.array([{}]), allow_pickle=True)
    np.savez("other.npz", maps=np.zeros((6, 6)))
    np.save("empty.npy", np.zeros((0, 6, 6), int))
    assert cli.run("sample", "run", "n=2", "trust=true", "out=none", f"conditions={conditions}") == 2
    err = capfd.readouterr().err
    assert message in err, err
    assert not (cli.folder / "none").exists()


@pytest.mark.parametrize(("device", "advice"), [("cpu", ""), ("cuda", ". With device=cpu, the message says more.")])
def test_an_error_of_many_lines_is_told_in_one(sample, cli, capfd, monkeypatch, device, advice):
    """As CUDA's of an index that is out of range."""

    def fail(trained, *_, **__):
        monkeypatch.setattr(type(trained.model), "device", property(lambda _: torch.device(device)))
        raise RuntimeError("CUDA error: device-side assert triggered\nSearch for it.\n")

    monkeypatch.setattr(TrainedModel, "sample", fail)
    assert cli.run("sample", "run", "n=2", "trust=true", "out=none", "conditions={tokens: [1,0]}") == 2
    expected = f"cannot use the conditions tokens: CUDA error: device-side assert triggered{advice}\n"
    assert capfd.readouterr().err.endswith(expected)


def test_a_model_without_conditions_says_so(cli, train, capfd):
    train("model=gan", "data=ring", "kimg=0.1", "metrics=none", "logger=none")
    assert cli.run("sample", "run", "conditions={code: [1]}") == 2
    assert "conditions.code cannot be given. This model takes no conditions." in capfd.readouterr().err

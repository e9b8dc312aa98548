"""sample latents=true, z= and code=: samples made of latents that a user has."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.model_training import CODED, SMALL
from helpers.refused import check_refused

import ganrun

TRAINED = {"dcgan": SMALL["dcgan"], "cgan": SMALL["cgan"], "infogan": CODED["infogan"], "vae": CODED["vae"]}
ADAGAN = ["model=adagan", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", *SMALL["gan"][3:]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name: folder} of a run of each model."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in {**TRAINED, "adagan": ADAGAN, "autoencoder": CODED["autoencoder"]}.items():
        ganrun.train([*settings, "kimg=0.016", "metrics=none", "logger=none", f"folder={folder / name}"])
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def sample(cli, runs):
    """Returns a function: model, arguments -> the arrays of samples.npz, and the folder with it."""

    def sample(name, *args, out="out"):
        assert cli.run("sample", str(runs[name]), "as=npz", f"out={out}", *args) == 0
        with np.load(f"{out}/samples.npz") as arrays:
            return dict(arrays)

    return sample


@pytest.mark.parametrize("name", TRAINED)
def test_latents_repeat_the_samples_bit_for_bit(sample, name):
    drawn = sample(name, "n=7", "seed=3", "batch_size=3", out="drawn")
    kept = sample(name, "n=7", "seed=3", "batch_size=3", "latents=true", out="kept")
    again = sample(name, "z=kept/latents.npz", "batch_size=3", "seed=9", out="again")
    for key, value in drawn.items():
        assert np.array_equal(kept[key], value)
        assert np.array_equal(again[key], value)
    assert {path.name for path in Path("kept").iterdir()} == {"samples.npz", "latents.npz"}


def test_the_classes_are_those_of_the_file_unless_others_are_asked_for(sample):
    first = sample("cgan", "n=4", "classes=[3,7]", "latents=true", out="first")
    assert sample("cgan", "z=first/latents.npz", out="same")["y"].tolist() == [3, 7, 3, 7]
    other = sample("cgan", "z=first/latents.npz", "classes=5", out="other")
    assert other["y"].tolist() == [5] * 4
    assert not np.array_equal(other["x"], first["x"])


def test_the_first_of_the_latents_are_used_if_fewer_are_asked_for(sample):
    all_of_them = sample("dcgan", "n=5", "latents=true", out="all")["x"]
    assert np.array_equal(sample("dcgan", "n=2", "z=all/latents.npz", "batch_size=5", out="two")["x"], all_of_them[:2])


def test_latents_of_the_users_own_are_decoded(sample, runs):
    z = np.linspace(-1, 1, 200, dtype=np.float64).reshape(2, 100)
    np.save("z.npy", z)
    model = ganrun.load(runs["dcgan"]).model
    expected = ((model.decode(torch.tensor(z).float()) + 1) * 127.5).round().permute(0, 2, 3, 1)
    assert np.allclose(sample("dcgan", "z=z.npy")["x"].astype(float), expected.numpy(), atol=1)


def test_codes_are_set_and_the_rest_of_the_noise_stays(sample):
    plain = sample("infogan", "n=4", "latents=true", out="plain")
    assert plain["x"].shape == (4, 28, 28, 1)
    sample("infogan", "n=4", "latents=true", "code={c1: [3,4], c2: 0.5}", out="set")
    before, after = (np.load(f"{name}/latents.npz")["z"] for name in ("plain", "set"))
    assert after[:, :10].argmax(1).tolist() == [3, 4, 3, 4]
    assert after[:, :10].sum(1).tolist() == [1] * 4
    assert (after[:, 10] == 0.5).all()
    assert np.array_equal(before[:, 11:], after[:, 11:])


def test_the_samples_are_those_of_the_codes(sample):
    changed = sample("infogan", "n=2", "code={c2: 2}", out="changed")["x"]
    assert not np.array_equal(changed, sample("infogan", "n=2", out="drawn")["x"])
    assert np.array_equal(changed, sample("infogan", "n=2", "code={c2: [2,2]}", out="same")["x"])


BAD = {
    "dcgan z=wide.npy": "z=wide.npy has an array of the shape [2, 101]. n latents of this run have [n, 100].",
    "dcgan z=flat.npy": "z=flat.npy has an array of the shape [100]",
    "dcgan z=none.npy": "z=none.npy cannot be read",
    "dcgan z=other.npz": "z=other.npz has no array z, but w.",
    "dcgan z=words.npy": "z=words.npy must be a .npz file with an array z",
    "dcgan z=text.txt": "z=text.txt must be a .npz file with an array z",
    "dcgan z=nan.npy": "The latents of z=nan.npy must be finite numbers",
    "dcgan z=two.npy n=3": "z=two.npy has 2 latents, fewer than n=3. Leave out n=.",
    "cgan z=labelled.npz": "y must be classes, integers [n], or weights of the 10 classes",
    "cgan z=solid.npz": "y must be classes, integers [n], or weights of the 10 classes",
    "cgan z=fractions.npz": "classes=",
    "dcgan code={c1:3}": "dcgan has no codes",
    "infogan code={c4:3}": "code.c4: there is no such code. Did you mean",
    "infogan code={c1:10}": "code.c1 must be one or several integers from 0 to 9",
    "infogan code={c1:0.5}": "code.c1 must be one or several integers from 0 to 9",
    "infogan code={c2:wide}": "code.c2 must be one or several numbers",
    "infogan code={c2:.nan}": "code.c2 must be one or several numbers",
    "infogan code={c2:1000000000000000000000000000000}": "code.c2 must be one or several numbers from -1000 to 1000",
    "infogan code={c2:[]}": "code.c2=[] has no values.",
    "infogan code=3": "code must be a mapping",
    "infogan code=c1": "code=c1 must be a mapping of codes and their values, such as 'code={c1: 0}'.",
    "adagan latents=true": "latents=true needs a model whose samples are made of latents z alone, which adagan is not.",
    "autoencoder z=two.npy": "z=two.npy needs a model whose samples are made of latents z alone",
}


@pytest.mark.parametrize(("command", "message"), BAD.items())
def test_wrong_latents_and_codes_get_one_message(cli, runs, command, message, capsys):
    arrays = {"wide": np.zeros((2, 101)), "flat": np.zeros(100), "two": np.zeros((2, 100)), "words": np.array(["a"])}
    for name, array in {**arrays, "nan": np.full((1, 100), np.nan)}.items():
        np.save(f"{name}.npy", array)
    np.savez("other.npz", w=np.zeros(3))
    np.savez("labelled.npz", z=np.zeros((2, 64)), y=np.zeros((2, 3), int))
    np.savez("solid.npz", z=np.zeros((2, 64)), y=np.zeros((2, 10, 1)))
    np.savez("fractions.npz", z=np.zeros((2, 64)), y=np.full(2, 0.5))
    name, *args = command.split()
    check_refused(cli, capsys, message, "sample", str(runs[name]), "out=out", *args)

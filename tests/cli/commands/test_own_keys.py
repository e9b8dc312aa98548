"""A user's data and model with batch keys of their own train, resume, sample and score without a change of ganrun."""

import numpy as np
import pytest
from helpers.runs import equal, weights
from helpers.scenes import write_scenes

import ganrun

SCENERY = ["--config-dir", "mine", "model=scenery", "data=scenes", "logger=none", "ema.half_life_kimg=0.02"]
LOSS = 'return {"loss": (margin - real).relu().mean() + (margin + fake).relu().mean(), "real": real, "fake": fake}'


def test_own_keys_a_third_network_and_a_lazy_penalty_train_and_resume_exactly(cli, train, capfd):
    write_scenes(cli.folder)
    whole = train(*SCENERY, "kimg=0.2", folder="whole")
    part = train(*SCENERY, "kimg=0.08", folder="part")
    assert cli.run("resume", "part", "kimg=0.2", "trust=true") == 0
    assert equal(weights(whole), weights(part))
    assert [*(whole / "samples").glob("samples-*.png")]


def test_samples_get_the_texts_and_layouts_of_the_data(cli, train):
    write_scenes(cli.folder)
    train(*SCENERY, "kimg=0.08")
    assert cli.run("sample", "run", "n=12", "batch_size=5", "as=npz", "out=out", "trust=true") == 0
    found = np.load("out/samples.npz")
    assert found["x"].shape == (12, 6, 6, 1)
    assert np.array_equal(found["layout"].max((1, 2)), found["tokens"][:, 0] + 1)
    assert cli.run("sample", "run", "n=4", "out=grid", "trust=true") == 0
    model = ganrun.load("run", trust=True)
    given = model.data.conditions(3, ["tokens", "layout"])
    x = model.sample(3, **given)
    assert not np.array_equal(x, model.sample(3, **{**given, "layout": 0 * given["layout"]}))


def test_a_plan_shows_own_keys_and_a_loss_that_is_a_partial(cli, capfd):
    write_scenes(cli.folder)
    assert cli.run("train", *SCENERY, "dry_run=true") == 0
    out = capfd.readouterr().out
    assert "examples (x), text (tokens), map (layout), as" in out
    assert "discriminator_l" in out  # the column is narrow
    # Its loss asserts that picture and layout were mirrored together; noise is not
    assert "time         not measured: this model does not train on made-up examples: " in out
    assert "scenery.py:38, in discriminator_loss: AssertionError" in out
    assert "run folder" in out


def test_a_model_whose_keys_the_data_lack_is_refused(cli, capfd):
    write_scenes(cli.folder)
    assert cli.run("train", *SCENERY, "data=digits") == 2
    err = capfd.readouterr().err
    assert "needs examples (x), text (tokens), map (layout), index (index), as images" in err
    assert "Data for model=scenery: scenes." in err


WRONG = {
    "a missing key": (
        (LOSS, f'batch["words"]\n        {LOSS}'),
        ["scenery.py:42, in discriminator_loss: KeyError: 'words'"],
    ),
    "no term loss": (
        (LOSS, 'return {"total": real.mean(), "real": real}'),
        ["player discriminator, discriminator_loss in ", "scenery.py:36, returns the terms total, real; "],
    ),
    "no scalar": ((LOSS, 'return {"loss": real - fake}'), ["must be a scalar tensor", "got a tensor of shape [4, 1]"]),
    "a number": ((LOSS, "return 1.0"), ["must be a scalar tensor", "got a float"]),
    "no gradient": ((LOSS, "return real.mean().detach()"), ["does not depend on the weights of its networks"]),
    "a backward pass that fails": (
        (LOSS, "loss = real.exp()\n        total = loss.mean()\n        loss.mul_(2)\n        return total"),
        ["scenery.py:", "inplace operation"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_error_in_a_users_loss_names_its_file_and_does_not_blame_the_network(cli, capfd, name):
    changed, parts = WRONG[name]
    write_scenes(cli.folder, scenery=changed)
    assert cli.run("train", *SCENERY) == 2
    err = capfd.readouterr().err
    assert all(part in err for part in ["model=scenery cannot train on data=scenes", *parts]), err
    assert "does not fit" not in err
    assert not (cli.folder / "outputs").exists()

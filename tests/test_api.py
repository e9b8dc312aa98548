"""The Python API: it gives what the commands give."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.model_training import job_of
from hydra.core.hydra_config import HydraConfig

import ganrun
from ganrun.cli.main import main
from ganrun.data.images import to_uint8
from ganrun.errors import UserError

TINY = ["network.width=4", "batch_size=4", "kimg=0.032", "metrics.samples=20", "metrics.reference=200", "logger=none"]
CYCLEGAN = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network=cyclegan_small", "network.blocks=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with a run of a cGAN and one of a CycleGAN without scores."""
    folder = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(folder / "cache"))
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        assert main(["train", "model=cgan", "data=digits", *TINY, "seed=3", "init.std=0.3", "folder=outputs/cgan"]) == 0
        translation = [*CYCLEGAN, "network.width=2", "batch_size=2", "kimg=0.004", "metrics=none", "logger=none"]
        assert main(["train", *translation, "folder=outputs/cyclegan"]) == 0
        yield folder


def test_a_loaded_model_draws_what_the_command_draws(folder):
    assert main(["sample", "outputs/cgan", "n=7", "classes=[3,7]", "seed=5", "as=npz", "out=npz"]) == 0
    x = ganrun.load("outputs/cgan", which="last").sample(7, [3, 7], seed=5)
    assert (x.dtype, x.shape) == (torch.float32, (7, 1, 28, 28))
    assert x.abs().max() <= 1
    with np.load(folder / "npz" / "samples.npz") as written:
        assert np.array_equal(to_uint8(x).permute(0, 2, 3, 1).numpy(), written["x"])


def test_one_class_may_be_given_as_a_number(folder):
    model = ganrun.load("outputs/cgan")
    assert torch.equal(model.sample(3, 7), model.sample(3, torch.tensor([7, 7, 7])))
    assert not torch.equal(model.sample(3, 7), model.sample(3, 8))


def test_the_generator_is_the_network_that_samples_come_from(folder):
    model = ganrun.load("outputs/cgan")
    z, y = model.model.noise(2, torch.Generator().manual_seed(0)), torch.tensor([1, 2])
    with torch.no_grad():
        expected = model.generator.eval()(z, y)
    assert torch.equal(expected, model.model.sample(2, y, torch.Generator().manual_seed(0)))


def test_the_config_and_the_scores_are_those_of_the_checkpoint(folder):
    model = ganrun.load("outputs/cgan", which="last")
    assert (model.config.seed, model.config.network.width) == (3, 4)
    last = json.loads((folder / "outputs" / "cgan" / "status.json").read_text())["last"]
    assert model.scores == {name: value for name, value in last.items() if name != "kimg"}


def test_a_run_without_scores_is_loaded_at_its_last_checkpoint(folder):
    model = ganrun.load("outputs/cyclegan")
    assert model.scores == {}
    assert model.path.name == "kimg000000.004.ckpt"


def test_images_are_translated_as_the_model_does_it(folder):
    model = ganrun.load("outputs/cyclegan")
    x = torch.rand(3, *model.data.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(model.translate(x, to="b"), model.model.translate(x, "b"))
    with pytest.raises(UserError, match="to=c"):
        model.translate(x, to="c")
    assert torch.equal(model.translate(x, to="B"), model.translate(x, to="b"))
    assert model.translate(x[:, :, :9, :30], to="a").shape == (3, 3, 9, 30)
    with pytest.raises(UserError, match=r"The images must be \[n, 3, H, W\], got \[3, 1, 32, 32\]"):
        model.translate(x[:, :1], to="a")
    with pytest.raises(UserError, match=r"The images must be \[n, 3, H, W\]"):
        model.translate(x[0], to="a")


def test_what_a_model_cannot_do_is_refused(folder):
    with pytest.raises(UserError, match="draws no samples"):
        ganrun.load("outputs/cyclegan").sample(4)
    with pytest.raises(UserError, match="does not translate"):
        ganrun.load("outputs/cgan").translate(torch.zeros(1, 1, 28, 28), to="a")
    with pytest.raises(UserError, match="classes must be whole numbers"):
        ganrun.load("outputs/cgan").sample(4, y=10)
    with pytest.raises(UserError, match="several generators"):
        _ = ganrun.load("outputs/cyclegan").generator
    assert len(ganrun.load("outputs/cyclegan").generators) == 2


def test_a_run_that_is_not_there_is_refused(folder):
    with pytest.raises(UserError, match="does not exist"):
        ganrun.load("nowhere")


def test_a_folder_that_needs_trust_is_refused_with_the_call_that_trusts_it(folder):
    shutil.copytree(folder / "outputs" / "cgan", folder / "strange")
    (folder / "strange" / "secret").symlink_to(folder)
    with pytest.raises(UserError, match=r"secret is a link to .* trust it: ganrun\.load\('strange', trust=True\)$"):
        ganrun.load("strange")
    assert ganrun.load("strange", "last", trust=True).kimg == 0.032


def test_the_runs_are_listed_oldest_first_with_their_scores(folder):
    runs = ganrun.runs("outputs")
    assert [(run.model, run.data, run.state, run.seed) for run in runs] == [
        ("cgan", "digits", "done", 3),
        ("cyclegan", "unpaired_digits", "done", 0),
    ]
    assert runs[0].score == runs[0].best["val/fd_lenet"]
    assert (runs[1].metric, runs[1].score != runs[1].score, runs[1].best) == (None, True, {})
    assert ganrun.runs(folder / "nowhere") == []


def test_importing_ganrun_imports_no_torch():
    code = "import ganrun, sys; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_training_gives_the_run_with_its_scores_and_the_weights_that_the_command_trains(folder):
    argv, path = [*sys.argv], [*sys.path]
    overrides = ["model=cgan", "data=digits", *TINY, "seed=3", "init.std=0.3", "folder=trained"]
    run = ganrun.train(overrides)
    assert (run.folder, run.state, run.kimg, run.metric) == ("trained", "done", 0.032, "val/fd_lenet")
    assert run.score == run.best["val/fd_lenet"] == ganrun.runs("outputs")[0].score
    mine, theirs = (ganrun.load(name, which="last").model.state_dict() for name in ("trained", "outputs/cgan"))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert (sys.argv, sys.path) == (argv, path)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["modl=gan"], ["modl", "model"]),
        (["model=gan", "data=ring", "kimg=-1"], ["kimg"]),
        (["model=cgan", "data=ring"], ["network=points does not fit model=cgan", "cgan_mlp"]),
        (["model=gan", "seed=1,2"], ["seed"]),
    ],
)
def test_a_mistake_is_raised_and_nothing_is_written(folder, overrides, parts):
    with pytest.raises(UserError) as error:
        ganrun.train([*overrides, "folder=refused"])
    assert all(part in str(error.value) for part in parts)
    assert not (folder / "refused").exists()


def test_a_failure_is_raised(folder):
    (folder / "broken.py").write_text(
        "from ganrun.models.gan import GAN\n\n\nclass Broken(GAN):\n"
        "    def after_turn(self, player):\n        raise ValueError('out of order')\n"
    )
    broken = ["model=gan", "data=ring", "model._target_=broken.Broken", "metrics=none", "logger=none", "kimg=1"]
    with pytest.raises(ValueError, match="out of order"):
        ganrun.train([*broken, "folder=failed"])
    assert ganrun.api.describe_run("failed").state == "failed"


def test_the_settings_of_a_command_do_not_reach_what_comes_after_it(folder, capfd):
    before = HydraConfig.instance().cfg
    assert main(["train", "--cfg", "job", "--resolve", "seed=${nope}"]) == 2
    assert "'nope' not found" in capfd.readouterr().err
    assert HydraConfig.instance().cfg is before
    assert ganrun.load("outputs/cgan").sample(2).shape == (2, 1, 28, 28)
    job_of("model=gan", "data=ring")

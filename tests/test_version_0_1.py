"""Runs, sweeps and models of version 0.1 still work: tests/fixtures/v0.1 was written before the renaming."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from ganrun.cli.main import main
from ganrun.config import renames

FIXTURES = Path(__file__).parent / "fixtures" / "v0.1"


@pytest.fixture
def folder(tmp_path, tmp_path_factory, monkeypatch):
    """A working folder with the runs, the sweep and the user's own model."""
    folder = tmp_path / "work"
    shutil.copytree(FIXTURES, folder)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path_factory.getbasetemp() / "cache-0.1"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mygan", raising=False)
    monkeypatch.chdir(folder)
    return folder


def status(run):
    return json.loads((run / "status.json").read_text())


RUNS = {"run": [], "own": ["trust=true"]}  # a run of a model of ours, and one of the README's own model


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_sampled(folder, run):
    assert main(["sample", run, "n=4", "as=npz", "out=samples", *RUNS[run]]) == 0
    with np.load(folder / "samples" / "samples.npz") as found:
        assert found["x"].shape == (4, 28, 28, 1)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_scored_and_gets_the_score_that_it_had(folder, run, capsys):
    assert main(["eval", run, "copies=0", *RUNS[run]]) == 0
    before = status(FIXTURES / run)["last"]["val/fd_lenet"]
    (table,) = (folder / "outputs" / "eval").rglob("*.json")
    text = table.read_text()
    assert json.loads(text)["scores"]["val/fd_lenet"] == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_resumed_with_its_callbacks_states(folder, run):
    assert main(["resume", run, "kimg=0.128", *RUNS[run]]) == 0
    assert (status(folder / run)["state"], status(folder / run)["kimg"]) == ("done", 0.128)
    assert status(folder / run)["seconds"] > status(FIXTURES / run)["seconds"]


def test_a_run_of_a_users_own_class_is_still_refused_without_trust(folder, capsys):
    assert main(["sample", "own"]) == 2
    assert "mygan.MyGAN" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_interrupted(folder):
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    first = (sweep / "0-lr-0.001" / "status.json").read_bytes()
    assert main(["sweep", "resume", str(sweep)]) == 0
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["done", "done"]
    assert (sweep / "0-lr-0.001" / "status.json").read_bytes() == first


@pytest.mark.slow
def test_the_same_command_finds_the_sweep_again(folder):
    (sweep,) = (folder / "outputs" / "sweeps").iterdir()
    command = json.loads((sweep / "sweep.json").read_text())["command"]
    assert main(["train", "-m", *command]) == 0
    assert list((folder / "outputs" / "sweeps").iterdir()) == [sweep]


def test_every_module_of_version_0_1_can_be_imported():
    from importlib import import_module

    for old in renames.MODULES:
        import_module(f"ganrun.{old}")


def test_every_renamed_symbol_is_found_under_its_old_name():
    from importlib import import_module

    for old, new in renames.SYMBOLS.items():
        module, _, name = f"ganrun.{old}".rpartition(".")
        parent, _, last = f"ganrun.{new}".rpartition(".")
        assert getattr(import_module(module), name) is getattr(import_module(parent), last), old


RING = ["data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "metrics=none", "logger=none"]
SHORT = [*RING, "batch_size=16", "kimg=0.08", "seed=3"]


def weights(run):
    import torch

    return torch.load(run / "checkpoints" / "kimg000000.080.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_settings_of_commands_of_version_0_1_mean_what_they_did(folder):
    old = ["model.k=2", "model.generator_loss=minimax"]
    assert main(["train", "model=gan", *SHORT, *old, "folder=old"]) == 0
    assert main(["train", "model=gan", *SHORT, "model.d_steps=2", "loss=minimax", "folder=new"]) == 0
    assert main(["train", "model=gan", *SHORT, "folder=other"]) == 0
    old, new, other = (weights(folder / name) for name in ("old", "new", "other"))
    assert all((old[name] == new[name]).all() for name in old)
    assert not all((old[name] == other[name]).all() for name in old)


@pytest.mark.slow
def test_a_sweep_of_a_setting_of_version_0_1_and_a_condition_on_it_are_understood(folder):
    command = ["model=gan", *SHORT, "model.k=1,2", "optimizer.lr=1e-3,1e-4", "sweep.only=['optimizer.lr if model.k>1']"]
    assert main(["train", "-m", *command, "sweep.jobs=1"]) == 0
    (sweep,) = (path for path in (folder / "outputs" / "sweeps").iterdir() if "lr-9713e1" not in path.name)
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == 3 * ["done"]
    assert main(["train", "-m", *command]) == 0
    assert len([*(folder / "outputs" / "sweeps").iterdir()]) == 2


def test_a_model_of_ones_own_may_have_a_setting_k(folder):
    (folder / "mine" / "model").mkdir(parents=True, exist_ok=True)
    (folder / "mine" / "model" / "own_began.yaml").write_text(
        "# @package _global_\n# Own k\ndefaults: [gan, _self_]\nmodel: {_target_: own_began.Began, k: 0.5}\n"
    )
    (folder / "own_began.py").write_text(
        "from ganrun.models.gan import GAN\n\n\nclass Began(GAN):\n    def __init__(self, *args, k, **kwargs):\n"
        "        super().__init__(*args, **kwargs)\n        assert (k, self.d_steps) == (0.25, 1)\n"
    )
    assert main(["train", "--config-dir", "mine", "model=own_began", *SHORT, "model.k=0.25"]) == 0


def test_a_class_of_ones_own_may_pass_on_the_arguments_of_version_0_1(folder):
    (folder / "passing.py").write_text(
        "from ganrun.models.gan import GAN\n\n\nclass Passing(GAN):\n    def __init__(self, *args, k, **kwargs):\n"
        "        super().__init__(*args, k=k, generator_loss='minimax', **kwargs)\n"
        "        assert (self.d_steps, type(self.objective).__name__) == (2, 'Minimax')\n"
    )
    assert main(["train", "model=gan", *SHORT, "model._target_=passing.Passing", "+model.k=2"]) == 0

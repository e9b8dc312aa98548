"""`ganrun train init_from=RUN`: new runs that start from the weights of another one, by the real command."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.picture_sets import write_pictures
from helpers.runs import RING, equal, files, load_checkpoint, status, weights
from omegaconf import OmegaConf

from ganrun.cli.main import main

SMALL = ["network.width=2", "batch_size=4", "kimg=0.016", "metrics=none", "logger=none", "optimizer.lr=1e-12"]
FROZEN = ["optimizer._target_=torch.optim.SGD", "~optimizer.betas", "optimizer.lr=1e-30"]  # too small to move a weight


def parameters(run, prefix=""):
    """The weights of the last checkpoint, without the statistics of batch norms, which every batch moves."""
    return {name: w for name, w in weights(run).items() if name.startswith(prefix) and re.search("weight$|bias$", name)}


def config(run):
    return OmegaConf.load(run / "config.yaml")


@pytest.fixture(scope="module")
def trained_source(workplace):
    assert main(["train", "model=dcgan", "data=digits", *SMALL, "seed=5", "folder=source"]) == 0
    return workplace / "source"


@pytest.fixture
def source(cli, trained_source):
    return shutil.copytree(trained_source, cli.folder / "source")


@pytest.mark.parametrize("place", ["source", "source/checkpoints/kimg000000.016.ckpt", "source/checkpoints"])
def test_a_new_run_starts_from_the_weights_of_a_run_bit_for_bit(train, source, place, capsys):
    run = train("model=dcgan", "data=digits", *SMALL, *FROZEN, f"init_from={place}", folder="run")
    assert equal(parameters(run), parameters(source))
    assert "generator 8 of 8, discriminator 7 of 7" in capsys.readouterr().err
    assert load_checkpoint(run)["seen"]["images"] == status(run)["kimg"] * 1000 == 16  # counted from 0
    assert config(run).init_from == place
    assert config(run).parent == "source/checkpoints/kimg000000.016.ckpt"


def test_last_is_recorded_as_the_run_that_it_was(train, source):
    (source.parent / "outputs").mkdir()
    source.rename(source.parent / "outputs" / "source")
    args = ["model=dcgan", "data=digits", *SMALL, "init_from=last", "resume=true"]
    run = train(*args, folder="outputs/run")
    assert config(run).init_from == "outputs/source"
    train(*args, "kimg=0.02", folder="outputs/run")  # a job script that starts again
    assert status(run)["kimg"] == 0.02


def test_averages_start_as_copies_of_the_plain_weights(train):
    settings = ["model=dcgan", "data=digits", *SMALL, "ema.half_life_kimg=0.001"]
    source = train(*settings, "optimizer.lr=0.01", folder="source")
    assert not equal(parameters(source, "generator."), parameters(source, "averaged."))
    run = train(*settings, *FROZEN, "init_from=source", folder="run")
    plain = {name: w for name, w in parameters(source).items() if not name.startswith("averaged.")}
    assert equal(plain, {name: w for name, w in parameters(run).items() if not name.startswith("averaged.")})
    averaged = {name.removeprefix("averaged."): w for name, w in parameters(run, "averaged.").items()}
    assert averaged.keys() == parameters(source, "generator.").keys()
    for name, w in averaged.items():
        torch.testing.assert_close(w, plain[name])


def test_weights_that_do_not_fit_other_classes_start_as_the_seed_alone_would_have_them(train, capsys):
    for name in "abc":
        write_pictures(Path("three", name), 6, size=(28, 28))
    cgan = ["model=cgan", *SMALL, *FROZEN]
    three = [*cgan, "data=folder", "data.root=three", "data.size=28", "data.channels=1", "seed=1"]
    source = train("model=cgan", *SMALL, "data=digits", "seed=5", folder="source")
    fresh = train(*three, folder="fresh")
    capsys.readouterr()
    run = train(*three, "init_from=source", folder="run")
    message = capsys.readouterr().err
    assert "2 weights do not fit and start fresh: generator.net.layers.0.weight" in message
    before, alone, result = parameters(source), parameters(fresh), parameters(run)
    other = [name for name, w in result.items() if w.shape != before[name].shape]
    assert len(other) == 2
    assert all(w.equal(alone[name] if name in other else before[name]) for name, w in result.items())


def test_a_dry_run_lists_what_fits_and_writes_nothing(cli, source, capsys):
    before = files(cli.folder)
    args = ["model=dcgan", "data=digits", *SMALL, "init_from=source", "dry_run=true", "folder=run"]
    assert cli.run("train", *args) == 0
    assert "source/checkpoints/kimg000000.016.ckpt: generator 8 of 8" in capsys.readouterr().err
    assert cli.run("train", *args, "init_from=nowhere") == 2
    assert files(cli.folder) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["init_from=nowhere"], "init_from=nowhere: nowhere does not exist"),
        (["init_from=2024"], "init_from=2024: 2024 does not exist"),
        (["init_from=last"], "There is no run in"),
        (["init_from=empty"], "init_from=empty: empty is a folder without checkpoints"),
        (["init_from=damaged.ckpt"], "damaged.ckpt cannot be read as a checkpoint (it is not an archive of tensors)"),
        (["init_from="], "init_from must be a string that is not empty"),
        (
            ["init_from=source", "network.width=7", "data.size=64", "model.z_dim=7"],
            "No weight matrix in source/checkpoints/",
        ),
    ],
)
def test_a_source_that_gives_no_weights_is_refused_before_anything_is_written(cli, source, args, message, capsys):
    (cli.folder / "empty").mkdir()
    (cli.folder / "damaged.ckpt").write_text("no checkpoint")
    before = files(cli.folder)
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run", *args) == 2
    assert message in capsys.readouterr().err
    assert files(cli.folder) == before


def test_a_source_of_another_model_gives_no_weights(cli, source, capsys):
    assert cli.run("train", *RING, "init_from=source", "folder=run") == 2
    assert "of model=dcgan, fits a network of the config by name and shape" in capsys.readouterr().err


def test_no_class_of_a_strangers_checkpoint_is_built(train, source, capsys):
    path = source / "checkpoints" / "kimg000000.016.ckpt"
    content = torch.load(path, weights_only=True)
    content["ganrun"]["config"]["model"]["_target_"] = content["ganrun"]["plan"]["model"]["_target_"] = "os.system"
    torch.save(content, "stranger.ckpt")
    run = train("model=dcgan", "data=digits", *SMALL, *FROZEN, "init_from=stranger.ckpt", folder="run")
    assert equal(parameters(run), parameters(source))


class Attack:
    def __reduce__(self):
        return os.mkdir, ("attacked",)


def test_a_checkpoint_that_could_run_code_is_refused(cli, source, capsys):
    content = torch.load(source / "checkpoints" / "kimg000000.016.ckpt", weights_only=True)
    torch.save({**content, "more": Attack()}, "stranger.ckpt")
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run", "init_from=stranger.ckpt") == 2
    assert "as that would run code" in capsys.readouterr().err
    assert not (cli.folder / "attacked").exists()


def test_a_run_folder_with_a_link_out_of_it_is_refused_and_the_advised_copy_is_taken(cli, train, source, capsys):
    (source / "link").symlink_to("/")
    args = ["model=dcgan", "data=digits", *SMALL]
    assert cli.run("train", *args, "folder=run", "init_from=source") == 2
    message = capsys.readouterr().err
    assert "source/link is a link to /" in message
    assert "copy its checkpoint to another folder, and give that file: init_from=COPY.ckpt" in message
    shutil.copy(source / "checkpoints" / "kimg000000.016.ckpt", "COPY.ckpt")
    train(*args, "init_from=COPY.ckpt")


def test_resume_needs_the_source_no_more(cli, train, source):
    run = train("model=dcgan", "data=digits", *SMALL, "init_from=source", "checkpoint.kimg=0.004", folder="run")
    shutil.rmtree(source)
    assert cli.run("resume", "run", "kimg=0.02") == 0
    assert cli.run("sample", "run", "n=4") == 0
    train("model=dcgan", "data=digits", *SMALL, "init_from=source", "resume=true", "kimg=0.024", folder="run")
    assert cli.run("resume", "run", "branch=true", "kimg=0.03", "folder=branch") == 0
    assert config(cli.folder / "branch").init_from is None
    assert config(cli.folder / "branch").parent.startswith("run/checkpoints/")
    assert status(run)["kimg"] == 0.024


def test_a_run_without_a_checkpoint_starts_from_the_source_again(cli, train, source, monkeypatch, capsys):
    args = ["model=dcgan", "data=digits", *SMALL, *FROZEN, "init_from=source"]
    run = train(*args, folder="run")
    for copy in ("killed", "abandoned"):
        shutil.copytree(run, cli.folder / copy)
        shutil.rmtree(cli.folder / copy / "checkpoints")
        text = (cli.folder / copy / "status.json").read_text()
        (cli.folder / copy / "status.json").write_text(text.replace('"done"', '"running"'))
    (cli.folder / "elsewhere").mkdir()
    monkeypatch.chdir(cli.folder / "elsewhere")
    assert cli.run("resume", "../killed") == 0
    assert equal(weights(cli.folder / "killed"), weights(run))
    shutil.rmtree(source)
    capsys.readouterr()
    assert cli.run("resume", "../abandoned") == 2
    assert "source does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("branch", [[], ["branch=true"]])
def test_a_run_cannot_change_its_source_and_the_advised_command_starts_a_new_run(cli, train, source, branch, capsys):
    args = ["model=dcgan", "data=digits", *SMALL]
    train(*args, folder="run")
    assert cli.run("resume", "run", "init_from=source", "kimg=1", *branch) == 2
    message = capsys.readouterr().err
    assert "init_from cannot change from None to " in message
    assert main([*shlex.split(re.search(r"a new run: ganrun (.*)", message)[1]), *args, "folder=new"]) == 0
    assert cli.run("train", *args, "folder=run", "init_from=source", "resume=true", "kimg=1") == 2
    assert "init_from cannot change from None to source" in capsys.readouterr().err


@pytest.mark.slow
def test_the_jobs_of_a_sweep_start_from_the_source(cli, source, capsys):
    args = ["-m", "model=dcgan", "data=digits", *SMALL, *FROZEN, "seed=1,2", "sweep.name=two"]
    assert cli.run("train", *args, "init_from=nowhere") == 2
    assert "Nothing was started: init_from=nowhere: nowhere does not exist" in capsys.readouterr().err
    assert cli.run("train", *args, "init_from=source") == 0
    jobs = [path.parent for path in (cli.folder / "outputs" / "sweeps" / "two").glob("*/config.yaml")]
    assert len(jobs) == 2
    assert all(equal(parameters(job), parameters(source)) for job in jobs)
    assert cli.run("train", *args, "init_from=source") == 0  # nothing is left of it
    assert cli.run("train", *args, "init_from=last") == 2
    message = capsys.readouterr().err
    assert (
        "init_from=last is another run for each job of a sweep. Name the run: init_from=outputs/sweeps/two" in message
    )


SAVE = """
import torch
from pytorch_lightning import Callback


class Save(Callback):
    def on_train_start(self, trainer, model):
        torch.save(model.state_dict(), f"rank{trainer.global_rank}.pt")
"""


@pytest.mark.slow
def test_all_ranks_start_from_the_source(cli, source):
    (cli.folder / "outputs").mkdir()
    source.rename(cli.folder / "outputs" / "source")
    (cli.folder / "mine.py").write_text(SAVE)
    two = ["trainer.accelerator=cpu", "trainer.devices=2", "init_from=last", "+callbacks.mine._target_=mine.Save"]
    settings = ["model=dcgan", "data=digits", *SMALL, "ema.half_life_kimg=1", *two, "folder=outputs/run"]
    command = [sys.executable, "-m", "ganrun", "train", *settings]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("the weights start from outputs/source") == 1
    for rank in (0, 1):
        state = torch.load(f"rank{rank}.pt")
        for name, w in weights(cli.folder / "outputs" / "source").items():
            assert torch.equal(state[name], w)
            assert torch.equal(state.get(f"averaged.{name}", w), w)

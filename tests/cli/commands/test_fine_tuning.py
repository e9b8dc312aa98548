"""Branches on other data, data that moved, and data beside ganrun's own folders, by the real commands."""

import re
import shlex
import shutil

import numpy as np
import pytest
from helpers.runs import equal, files, lines, load_checkpoint, rewind, status, weights
from omegaconf import OmegaConf
from PIL import Image

from ganrun.cli.main import main
from ganrun.data.digits import load_shipped_digits

SMALL = ["network.width=2", "batch_size=4", "kimg=0.016", "metrics=none", "logger=none"]
IMAGES = ["data=folder", "data.size=8", "data.channels=1"]


def write_images(folder, classes=("a", "b"), count=6, side=8, seed=0):
    """Write grey images of noise, `count` per class."""
    random = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = random.integers(0, 256, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def train_on_images(cli, folder, *args, model="dcgan"):
    assert cli.run("train", f"model={model}", *IMAGES, *SMALL, f"folder={folder}", *args) == 0
    return cli.folder / folder


def config(run):
    return OmegaConf.load(run / "config.yaml")


def test_one_command_trains_a_run_of_digits_on_other_images(cli, capsys):
    write_images(cli.folder / "other", side=40)
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    assert cli.run("resume", "run", "branch=true", "data=folder", "data.root=other", "folder=branch") == 0
    branch = cli.folder / "branch"
    assert (config(branch).data.name, config(branch).data.size, config(branch).data.channels) == ("folder", 28, 1)
    assert status(branch)["choices"]["data"] == "folder"
    assert load_checkpoint(branch)["seen"]["images"] == 32  # for the same length again
    assert "data.size=28 data.channels=1 as before" in capsys.readouterr().err
    assert cli.run("resume", "branch", "kimg=0.04") == 0
    assert cli.run("sample", "branch", "n=4") == 0


def test_the_first_checkpoint_of_a_branch_on_other_data_holds_the_weights_and_optimizers_of_the_run(cli):
    write_images(cli.folder / "other")
    run = train_on_images(cli, "run", f"data.root={write_images(cli.folder / 'images', seed=1)}")
    args = ["branch=true", "data.root=other", "checkpoint.kimg=1", "folder=branch"]
    assert cli.run("resume", "run", *args) == 0
    first = load_checkpoint(cli.folder / "branch", "kimg000000.016.ckpt")
    assert equal(first["state_dict"], weights(run))
    assert str(first["optimizer_states"]) == str(load_checkpoint(run)["optimizer_states"])
    assert first["ganrun"]["data"] != load_checkpoint(run)["ganrun"]["data"]


@pytest.mark.parametrize("order", [1, -1])
def test_settings_of_data_apply_in_any_order(cli, order):
    write_images(cli.folder / "other")
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    changes = ["data=folder", "data.root=other", "data.flip=true"][::order]
    assert cli.run("resume", "run", "branch=true", *changes, "folder=branch") == 0
    assert config(cli.folder / "branch").data.flip


@pytest.mark.slow
def test_weights_that_do_not_fit_other_classes_are_listed_and_refused_and_the_advised_command_starts_them_fresh(
    cli, capsys
):
    write_images(cli.folder / "other", "abc")
    write_images(cli.folder / "images")
    run = train_on_images(cli, "run", "data.root=images", model="cgan")
    before = files(cli.folder)
    capsys.readouterr()
    assert cli.run("resume", "run", "branch=true", "data.root=other", "folder=branch") == 2
    message = capsys.readouterr().err
    assert "2 weights in" in message
    assert "generator.net.layers.0.weight" in message
    assert files(cli.folder) == before
    advice = shlex.split(re.search(r"others: ganrun (.*)", message)[1])
    assert main([*advice, "checkpoint.kimg=1"]) == 0
    branch = cli.folder / "branch"
    assert config(branch).model.classes == config(branch).network.generator.classes == 3
    assert "2 weights do not fit and start fresh" in capsys.readouterr().err
    first, saved = load_checkpoint(branch, "kimg000000.016.ckpt"), load_checkpoint(run)
    assert first["state_dict"].keys() == saved["state_dict"].keys()
    same = [name for name, w in first["state_dict"].items() if w.equal(saved["state_dict"][name])]
    assert len(same) == len(saved["state_dict"]) - 2
    assert cli.run("resume", "branch", "kimg=0.04") == 0
    assert cli.run("sample", "branch", "n=3", "classes=2") == 0


def test_a_class_that_was_added_is_counted_in_a_branch(cli):
    write_images(cli.folder / "images")
    train_on_images(cli, "run", "data.root=images")
    write_images(cli.folder / "images", "c")
    assert cli.run("resume", "run", "branch=true", "folder=branch") == 0
    assert config(cli.folder / "branch").data.classes == 3


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["data=folder", "data.root=nowhere"], "nowhere does not exist"),
        (["data=folder", "data.root=damaged"], "Cannot decode"),
        (["data=ring"], "Models for data=ring: "),
        (["data=digits", "metrics=modes"], "metrics"),
    ],
)
def test_a_refused_branch_leaves_no_folder(cli, args, message, capsys):
    write_images(cli.folder / "damaged")
    (cli.folder / "damaged" / "a" / "0.png").write_text("no image")
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    before = files(cli.folder)
    assert cli.run("resume", "run", "branch=true", *args, "folder=branch") == 2
    assert message in capsys.readouterr().err
    assert files(cli.folder) == before


def test_a_branch_may_start_to_average_and_stop_it(cli):
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    assert cli.run("resume", "run", "branch=true", "ema.half_life_kimg=1", "folder=averaged") == 0
    assert any(name.startswith("averaged.") for name in weights(cli.folder / "averaged"))
    assert cli.run("resume", "averaged", "branch=true", "ema.half_life_kimg=null", "folder=plain") == 0
    assert weights(cli.folder / "plain").keys() == weights(cli.folder / "run").keys()


def test_the_width_of_networks_may_change_in_a_branch_with_fresh_weights(cli):
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    assert cli.run("resume", "run", "branch=true", "network.width=3", "folder=branch") == 2
    assert cli.run("resume", "run", "branch=true", "network.width=3", "fresh=true", "folder=branch") == 0
    assert config(cli.folder / "branch").network.generator.width == 3


def test_fresh_without_a_branch_is_refused(cli, capsys):
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    assert cli.run("resume", "run", "fresh=true", "kimg=1") == 2
    assert "add branch=true" in capsys.readouterr().err


def test_a_run_whose_images_moved_resumes_bit_for_bit(cli, capsys):
    images = write_images(cli.folder / "images")
    whole = train_on_images(cli, "whole", "data.root=images", "checkpoint.every_kimg=0.004")
    broken = rewind(whole, cli.folder / "broken", 0.008)
    images.rename(cli.folder / "moved")
    assert cli.run("resume", "broken") == 2
    assert "data.root=images does not exist" in capsys.readouterr().err
    assert cli.run("resume", "broken", "data.root=moved") == 0
    assert equal(weights(broken), weights(whole))
    assert cli.run("resume", "broken", "kimg=0.02") == 0  # the new place is kept


def test_other_content_is_refused_and_the_advised_command_branches(cli, capsys):
    write_images(cli.folder / "images")
    train_on_images(cli, "run", "data.root=images")
    write_images(cli.folder / "images", ["a"], count=7, seed=3)
    assert cli.run("resume", "run", "kimg=0.02") == 2
    message = capsys.readouterr().err
    assert "have changed since" in message
    advice = re.search(r"this state: ganrun (.*)", message)[1]
    assert main([*shlex.split(advice), "folder=branch"]) == 0
    write_images(cli.folder / "more images", count=9)
    assert cli.run("resume", "branch", "kimg=0.1", "data.root=more images") == 2
    advice = re.search(r"this state: ganrun (.*)", capsys.readouterr().err)[1]
    assert main([*shlex.split(advice), "folder=second"]) == 0
    assert config(cli.folder / "second").data.root == str(cli.folder / "more images")


def test_train_with_resume_true_takes_images_that_moved(cli):
    images = write_images(cli.folder / "images")
    train_on_images(cli, "run", "data.root=images")
    images.rename(cli.folder / "moved")
    train_on_images(cli, "run", "data.root=moved", "resume=true", "kimg=0.02")
    assert status(cli.folder / "run")["kimg"] == 0.02


SCORED = ["metrics=lenet", "metrics.samples=8", "copies=0"]


def test_relative_roots_are_found_from_another_folder_and_in_a_project_that_moved(cli, monkeypatch, capsys):
    home, away = cli.folder / "home", cli.folder / "away"
    write_images(home / "images", side=28)
    away.mkdir()
    monkeypatch.chdir(home)
    run = ["model=dcgan", "data=folder", "data.root=images", "data.size=28", "data.channels=1"]
    assert cli.run("train", *run, *SMALL, "folder=run") == 0
    write_images(away / "images", side=28, seed=9)  # of the same name, but others
    monkeypatch.chdir(away)
    capsys.readouterr()
    assert cli.run("eval", "../home/run", *SCORED) == 0
    assert "not those of the training" not in capsys.readouterr().err
    assert cli.run("resume", "../home/run", "kimg=0.02") == 0
    assert cli.run("resume", "../home/run", "branch=true", "kimg=0.03", "folder=branch") == 0
    assert cli.run("eval", "../home/run", *SCORED, "data.root=images") == 0
    assert "not those of the training" in capsys.readouterr().err


def test_a_project_that_moved_as_a_whole_goes_on(cli, monkeypatch):
    home, new = cli.folder / "home", cli.folder / "new"
    write_images(home / "images")
    monkeypatch.chdir(home)
    assert cli.run("train", "model=dcgan", *IMAGES, "data.root=images", *SMALL, "folder=run") == 0
    home.rename(new)
    monkeypatch.chdir(new)
    assert cli.run("resume", "run", "kimg=0.02") == 0
    assert cli.run("sample", "run", "n=4") == 0


@pytest.mark.parametrize("lost", ["removed", "dangling"])
@pytest.mark.parametrize("command", [["resume", "run"], ["resume", "run", "branch=true"], ["eval", "run", *SCORED]])
def test_the_advised_command_finds_images_that_moved(cli, command, lost, capsys):
    images = write_images(cli.folder / "images", side=28)
    args = ["model=dcgan", "data=folder", "data.size=28", "data.channels=1", *SMALL]
    assert cli.run("train", *args, "data.root=images", "folder=run") == 0
    images.rename(cli.folder / "moved images")
    if lost == "dangling":
        images.symlink_to("nowhere")
    more = ["kimg=0.02"] if command[0] == "resume" else []
    assert cli.run(*command, *more) == 2
    advice = re.search(r"If the data of the run have moved: ganrun (.*)", capsys.readouterr().err)[1]
    assert main([arg.replace("NEW", "moved images") for arg in shlex.split(advice)]) == 0
    assert cli.run(*command, *more, "data.root=nowhere") == 2
    assert cli.run("train", *args, "data.root=nowhere", "folder=other") == 2
    assert "have moved" not in capsys.readouterr().err


def test_eval_finds_images_that_moved_and_sample_needs_none(cli, capsys):
    images = write_images(cli.folder / "images", side=28)
    args = ["data.root=images", "data.size=28"]
    train_on_images(cli, "run", *args)
    images.rename(cli.folder / "moved")
    assert cli.run("eval", "run", *SCORED) == 2
    assert cli.run("eval", "run", *SCORED, "data.root=moved") == 0
    assert cli.run("sample", "run", "n=4") == 0
    assert cli.run("sample", "run", "n=4", "data.root=moved") == 0
    assert "not those of the training" not in capsys.readouterr().err


def test_a_root_for_data_without_files_is_refused(cli, capsys):
    assert cli.run("train", "model=dcgan", "data=digits", *SMALL, "folder=run") == 0
    assert cli.run("eval", "run", "data.root=moved") == 2
    assert "data=digits reads no files of yours" in capsys.readouterr().err


@pytest.mark.slow
def test_what_ganrun_writes_beside_the_images_is_never_data(cli):
    write_images(cli.folder, side=8)
    run = train_on_images(cli, "outputs/run", "data.root=.", "pictures_kimg=0.004")
    assert cli.run("sample", "last", "n=4", "as=folder") == 0
    assert cli.run("sample", "last", "n=4", "out=grids/mine") == 0
    shutil.rmtree(cli.folder / "grids")  # a folder that the user chose would count
    assert cli.run("train", "-m", *IMAGES, "model=dcgan", *SMALL, "data.root=.", "seed=1,2", "sweep.name=two") == 0
    second = train_on_images(cli, "mine", "data.root=.")
    third = train_on_images(cli, "third", "data.root=.")
    assert len({load_checkpoint(each)["ganrun"]["data"] for each in (run, second, third)}) == 1
    assert config(third).data.classes == 2
    assert cli.run("resume", "outputs/run", "kimg=0.02") == 0


@pytest.mark.slow
def test_a_sweep_in_a_folder_of_its_own_is_never_data(cli):
    write_images(cli.folder, side=8)
    command = ["-m", *IMAGES, "model=dcgan", *SMALL, "data.root=.", "seed=1,2", "folder=mine"]
    assert cli.run("train", *command) == 0
    assert config(train_on_images(cli, "run", "data.root=.")).data.classes == 2


@pytest.mark.slow
def test_a_cgan_of_digits_fine_tuned_on_other_digits_starts_below_a_fresh_one(cli):
    scored = ["network.width=8", "metrics.samples=500", "metrics.reference=500", "logger=none", "batch_size=32"]
    assert cli.run("train", "model=cgan", "data=digits", *scored, "kimg=12", "validate_kimg=12", "folder=run") == 0
    write_thick_digits(cli.folder / "thick")
    data = ["data=folder", "data.root=thick"]
    length = ["validate_kimg=0.064"]
    args = [*data, *length, "kimg=12.064", "folder=branch"]
    assert cli.run("resume", "run", "branch=true", *args) == 0
    fresh = [*data, "data.size=28", "data.channels=1", "metrics=lenet", *scored, *length, "kimg=0.064", "folder=fresh"]
    assert cli.run("train", "model=cgan", *fresh) == 0
    tuned, anew = (lines(cli.folder / run, "val/fd_lenet")[0]["val/fd_lenet"] for run in ("branch", "fresh"))
    assert tuned < 0.7 * anew


def write_thick_digits(folder):
    """Write digits as images in a folder per class, thicker than those that come with ganrun."""
    shipped = load_shipped_digits()
    for i, (image, label) in enumerate(zip(shipped["x_test"], shipped["y_test"], strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.maximum(image, np.roll(image, 1, axis=1))).save(folder / str(label) / f"{i}.png")

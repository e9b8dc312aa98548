"""ganrun resume: what it goes on with, what may change on the way, and what it refuses."""

import json
import shutil

import pytest
from helpers.runs import SHORT, equal, lines, load_checkpoint, status, weights
from omegaconf import OmegaConf

from ganrun.cli.main import main


@pytest.fixture(scope="module")
def whole(workplace):
    """An unbroken training whose every checkpoint was kept for good."""
    assert main(["train", *SHORT, "checkpoint.every_kimg=0.04", "folder=whole"]) == 0
    return workplace / "whole"


@pytest.fixture
def broken(whole, tmp_path):
    """The training as a crash after so many kimg would have left it."""

    def broken(kimg):
        run = tmp_path / f"broken{kimg}"
        shutil.copytree(whole, run)
        folder = run / "checkpoints"
        name = f"kimg{kimg:010.3f}.ckpt"
        told = json.loads((folder / "manifest.json").read_text())
        told = {**told, "last": name, "previous": None, "best": None, "kept": []}
        (folder / "manifest.json").write_text(json.dumps(told))
        told = json.loads((run / "status.json").read_text())
        (run / "status.json").write_text(json.dumps({**told, "state": "running", "kimg": kimg}))
        return run

    return broken


@pytest.mark.parametrize("kimg", [0.04, 0.2, 0.36, 0.4])
def test_a_broken_training_ends_at_the_weights_of_the_unbroken_one_with_the_same_history(whole, broken, kimg):
    run = broken(kimg)
    assert main(["resume", str(run)]) == 0
    assert equal(weights(run), weights(whole))
    for part in ("optimizer_states", "seen"):
        assert str(load_checkpoint(run)[part]) == str(load_checkpoint(whole)[part])
    for key in ("train/generator/loss", "protocol"):
        without_time = [[{**line, "time": 0} for line in lines(place, key)] for place in (run, whole)]
        assert without_time[0] == without_time[1]
    assert status(run)["state"] == "done"
    assert status(run)["best"] == status(whole)["best"]


def test_a_training_that_had_saved_nothing_starts_anew_in_its_folder(whole, broken):
    run = broken(0.04)
    shutil.rmtree(run / "checkpoints")
    assert main(["resume", str(run)]) == 0
    assert equal(weights(run), weights(whole))
    assert len(lines(run, "protocol")) == len(lines(whole, "protocol"))


def test_a_finished_training_says_so_and_can_be_made_longer(whole, broken, capsys):
    run = broken(0.4)
    assert main(["resume", str(run)]) == 0
    assert main(["resume", str(run)]) == 2
    assert f"is finished. To make it longer: ganrun resume {run} kimg=0.8" in capsys.readouterr().err
    assert main(["resume", str(run), "kimg=0.5", "log_every=3", "logger=csv"]) == 0
    assert (status(run)["kimg"], status(run)["state"]) == (0.5, "done")


def test_no_other_experiment_goes_on_under_the_runs_name(broken, capsys):
    run = broken(0.2)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    for words, told in [
        (["optimizer.lr=0.5"], "optimizer.lr cannot change from 0.0002 to 0.5"),
        (["batch_size=10"], "batch_size cannot change from 20 to 10"),
        (["model.z_dim=3"], "model.z_dim cannot change from 100 to 3"),
        (["data=grid"], "data."),
        (["optimiser.lr=0.5"], "no setting optimiser.lr. Did you mean optimizer.lr"),
        (["kimg=-1"], "kimg must be a number above 0, got -1"),
        (["+mine=3"], "mine cannot change from None to 3"),
    ]:
        assert main(["resume", str(run), *words]) == 2
        assert told in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_branch_is_another_run_that_begins_with_this_ones_state(whole, broken, tmp_path, capsys):
    run = broken(0.2)
    branch = tmp_path / "branch"
    assert main(["resume", str(run), "branch=true", "optimizer.lr=0.003", "schedule=constant", f"folder={branch}"]) == 0
    assert status(run)["state"] == "running"
    assert load_checkpoint(branch)["seen"]["images"] == 400
    assert load_checkpoint(branch)["ganrun"]["config"]["optimizer"]["lr"] == 0.003
    assert {
        group["lr"] for state in load_checkpoint(branch)["optimizer_states"] for group in state["param_groups"]
    } == {0.003}
    assert not equal(weights(branch), weights(whole))
    assert OmegaConf.load(branch / "config.yaml").parent == str(run / "checkpoints" / "kimg000000.200.ckpt")
    assert lines(branch, "protocol")[0]["kimg"] > 0.2
    told = status(branch)
    assert told["images_per_second"] * told["seconds"] >= 200  # of its own images, in part of its own seconds
    assert load_checkpoint(branch)["callbacks"]["CallbackList"]["LossCurves"]["first"] == 200
    assert main(["resume", str(run), "branch=true", "network.generator.hidden=[9]", f"folder={tmp_path / 'no'}"]) == 2
    assert "do not fit the networks" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_training_command_itself_goes_on_where_it_is_told_to(whole, broken, capsys):
    run = broken(0.2)
    again = [*SHORT, "checkpoint.every_kimg=0.04", f"folder={run}"]
    assert main(["train", *again]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["train", *again, "resume=true", "seed=5"]) == 2
    assert "seed cannot change from 0 to 5" in capsys.readouterr().err
    assert main(["train", *again, "resume=true"]) == 0
    assert equal(weights(run), weights(whole))
    assert main(["train", *again, "resume=true"]) == 0  # finished: a job that starts again has nothing to do


PICTURES = ["batch_size=4", "kimg=0.008", "metrics=none", "logger=none"]
TINY = {
    "dcgan data=digits": ["network.width=2"],
    "gan data=digits": ["network.generator.hidden=[4]", "network.discriminator.hidden=[4]"],
    "cgan data=digits": ["network.width=2"],
    "cyclegan data=unpaired_digits": ["network.width=2", "network.blocks=1"],
}


@pytest.mark.parametrize("model", TINY)
def test_a_job_script_trains_any_model_on_whose_shapes_follow_from_its_data(model, workplace, tmp_path, capsys):
    words = ["train", f"model={model.split()[0]}", model.split()[1], *TINY[model], *PICTURES, "resume=true"]
    run = tmp_path / "run"
    assert main([*words, f"folder={run}"]) == 0
    assert main([*words, f"folder={run}", "kimg=0.016"]) == 0
    assert load_checkpoint(run)["seen"]["images"] == 16
    assert main([*words, f"folder={run}", "kimg=0.016", "data.size=32"]) == 2
    assert "data.size cannot change from 28 to 32" in capsys.readouterr().err


def test_damage_is_told_with_the_checkpoint_that_is_left(broken, whole, capsys):
    run = broken(0.2)
    folder = run / "checkpoints"
    told = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**told, "previous": "kimg000000.160.ckpt"}))
    path = folder / "kimg000000.200.ckpt"
    good = path.read_bytes()
    for damaged, words in [
        (good[:1000], "truncated"),
        (b"", "it is empty"),
        (b"text\n", "no archive"),
        (good[:5000] + bytes([good[5000] ^ 1]) + good[5001:], "damaged"),
    ]:
        path.write_bytes(damaged)
        assert main(["resume", str(run)]) == 2
        message = capsys.readouterr().err
        assert words in message or "bytes have changed" in message
        assert f"{folder / 'kimg000000.160.ckpt'} is intact" in message
    assert main(["resume", str(folder / "kimg000000.160.ckpt")]) == 0
    assert equal(weights(run), weights(whole))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["https://example.org/a.ckpt"], "is a URL"),
        (["nowhere"], "nowhere does not exist"),
        (["."], "is no run folder"),
    ],
)
def test_what_is_no_run_is_refused(cli, capsys, words, told):
    assert main(["resume", *words]) == 2
    assert told in capsys.readouterr().err

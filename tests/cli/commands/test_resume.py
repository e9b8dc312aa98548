"""ganrun resume: exact continuation, which settings may change, branches and refused commands."""

import json
import shutil

import pytest
from helpers.runs import SHORT, SMALL_RING, equal, lines, load_checkpoint, status, weights
from omegaconf import OmegaConf

from ganrun.cli.main import main


@pytest.fixture(scope="module")
def whole(workplace):
    """An uninterrupted run that keeps every checkpoint."""
    assert main(["train", *SHORT, "checkpoint.every_kimg=0.04", "folder=whole"]) == 0
    return workplace / "whole"


@pytest.fixture
def broken(whole, tmp_path):
    """Copies the run as a crash after so many kimg would leave it."""

    def broken(kimg):
        run = tmp_path / f"broken{kimg}"
        shutil.copytree(whole, run)
        folder = run / "checkpoints"
        name = f"kimg{kimg:010.3f}.ckpt"
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest = {**manifest, "last": name, "previous": None, "best": None, "kept": []}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (run / "status.json").write_text(json.dumps({**status(run), "state": "running", "kimg": kimg}))
        return run

    return broken


@pytest.mark.parametrize("kimg", [0.04, 0.2, 0.36, 0.4])
def test_a_resumed_run_has_the_weights_and_history_of_the_uninterrupted_one(whole, broken, kimg):
    run = broken(kimg)
    assert main(["resume", str(run)]) == 0
    assert equal(weights(run), weights(whole))
    for part in ("optimizer_states", "seen"):
        assert str(load_checkpoint(run)[part]) == str(load_checkpoint(whole)[part])
    for key in ("train/generator/loss", "protocol"):
        without_time = [[{**line, "time": 0} for line in lines(folder, key)] for folder in (run, whole)]
        assert without_time[0] == without_time[1]
    assert status(run)["state"] == "done"
    assert status(run)["best"] == status(whole)["best"]


def test_a_run_resumed_between_two_points_has_the_curves_of_an_unbroken_one(workplace):
    args = [*SMALL_RING, "metrics=none", "batch_size=4", "log_every=10"]
    assert main(["train", *args, "kimg=0.1", "folder=unbroken"]) == 0
    assert main(["train", *args, "kimg=0.052", "folder=continued"]) == 0  # 13 batches
    assert main(["resume", "continued", "kimg=0.1"]) == 0
    unbroken, continued = (lines(workplace / name, "train/discriminator/loss") for name in ("unbroken", "continued"))
    at_end = continued.pop(1)
    assert (at_end["kimg"], len(unbroken)) == (0.052, 3)
    assert [{**line, "time": 0} for line in continued] == [{**line, "time": 0} for line in unbroken]


def test_a_run_without_checkpoints_starts_again_in_its_folder(whole, broken):
    run = broken(0.04)
    shutil.rmtree(run / "checkpoints")
    assert main(["resume", str(run)]) == 0
    assert equal(weights(run), weights(whole))
    assert len(lines(run, "protocol")) == len(lines(whole, "protocol"))


def test_a_finished_run_is_refused_and_can_be_made_longer(whole, broken, capsys):
    run = broken(0.4)
    assert main(["resume", str(run)]) == 0
    assert main(["resume", str(run)]) == 2
    assert f"is finished. To make it longer: ganrun resume {run} kimg=0.8" in capsys.readouterr().err
    assert main(["resume", str(run), "kimg=0.5", "log_every=3", "logger=csv"]) == 0
    assert (status(run)["kimg"], status(run)["state"]) == (0.5, "done")


def test_settings_that_change_the_experiment_are_refused(broken, capsys):
    run = broken(0.2)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    for args, message in [
        (["optimizer.lr=0.5"], "optimizer.lr cannot change from 0.0002 to 0.5"),
        (["batch_size=10"], "batch_size cannot change from 20 to 10"),
        (["model.z_dim=3"], "model.z_dim cannot change from 100 to 3"),
        (["data=grid"], "data."),
        (["optimiser.lr=0.5"], "no setting optimiser.lr. Did you mean optimizer.lr"),
        (["kimg=-1"], "kimg must be a number above 0, got -1"),
        (["+mine=3"], "mine cannot change from None to 3"),
    ]:
        assert main(["resume", str(run), *args]) == 2
        assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_branch_without_a_folder_is_where_trainings_are(broken, tmp_path, monkeypatch):
    run = broken(0.2).absolute()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", str(run), "branch=true", "kimg=0.22"]) == 0
    (branch,) = (tmp_path / "outputs" / "train" / "gan-ring").iterdir()
    assert status(branch)["state"] == "done"


def test_a_branch_is_a_new_run_that_starts_from_the_checkpoint(whole, broken, tmp_path, capsys):
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
    speed = status(branch)["images_per_second"]
    assert speed * status(branch)["seconds"] >= 200  # counts only its own images and seconds
    assert load_checkpoint(branch)["callbacks"]["CallbackList"]["LossCurves"]["first"] == 200
    assert main(["resume", str(run), "branch=true", "network.generator.hidden=[9]", f"folder={tmp_path / 'no'}"]) == 2
    assert "do not fit the networks" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_train_with_resume_true_continues_the_run(whole, broken, capsys):
    run = broken(0.2)
    args = [*SHORT, "checkpoint.every_kimg=0.04", f"folder={run}"]
    assert main(["train", *args]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["train", *args, "resume=true", "seed=5"]) == 2
    assert "seed cannot change from 0 to 5" in capsys.readouterr().err
    assert main(["train", *args, "resume=true"]) == 0
    assert equal(weights(run), weights(whole))
    assert main(["train", *args, "resume=true"]) == 0  # finished: nothing left to do


COMMON = ["batch_size=4", "kimg=0.008", "metrics=none", "logger=none"]
TINY = {
    "dcgan data=digits": ["network.width=2"],
    "gan data=digits": ["network.generator.hidden=[4]", "network.discriminator.hidden=[4]"],
    "cgan data=digits": ["network.width=2"],
    "cyclegan data=unpaired_digits": ["network.width=2", "network.blocks=1"],
}


@pytest.mark.parametrize("model", TINY)
def test_train_with_resume_true_continues_any_model(model, workplace, tmp_path, capsys):
    args = ["train", f"model={model.split()[0]}", model.split()[1], *TINY[model], *COMMON, "resume=true"]
    run = tmp_path / "run"
    assert main([*args, f"folder={run}"]) == 0
    assert main([*args, f"folder={run}", "kimg=0.016"]) == 0
    assert load_checkpoint(run)["seen"]["images"] == 16
    assert main([*args, f"folder={run}", "kimg=0.016", "data.size=32"]) == 2
    assert "data.size cannot change from 28 to 32" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_reported_with_the_previous_one(broken, whole, capsys):
    run = broken(0.2)
    folder = run / "checkpoints"
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "previous": "kimg000000.160.ckpt"}))
    path = folder / "kimg000000.200.ckpt"
    good = path.read_bytes()
    for damaged, reason in [
        (good[:1000], "truncated"),
        (b"", "it is empty"),
        (b"text\n", "not an archive"),
        (good[:5000] + bytes([good[5000] ^ 1]) + good[5001:], "damaged"),
    ]:
        path.write_bytes(damaged)
        assert main(["resume", str(run)]) == 2
        message = capsys.readouterr().err
        assert reason in message or "bytes have changed" in message
        assert f"{folder / 'kimg000000.160.ckpt'} is intact" in message
    assert main(["resume", str(folder / "kimg000000.160.ckpt")]) == 0
    assert equal(weights(run), weights(whole))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["https://example.org/a.ckpt"], "is a URL"),
        (["nowhere"], "nowhere does not exist"),
        (["."], "is not a run folder"),
    ],
)
def test_a_path_that_is_not_a_run_is_refused(cli, capsys, args, message):
    assert main(["resume", *args]) == 2
    assert message in capsys.readouterr().err

"""Refused sweeps (one message, exit code 2, nothing written) and dry runs."""

import re
import time
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from PIL import Image

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.files import conf_dir
from ganrun.sweep import validate
from ganrun.sweep.executors import slurm
from ganrun.sweep.search.conditions import ConfigCache
from ganrun.training import rehearsal

RING = ["train", "-m", "model=gan", "data=ring"]
VARIED = ["model=gan,wgan", "model.c=0.01,0.1"]
INTERVAL = "optimizer.lr=interval(0.1,1)"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


OUTSIDE = ("../../x", "/tmp/x", "a/../b", ".", ".x", "a//b", "x" * 201)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep.jobs=0"], "sweep.jobs must be an integer of at least 1 or null, got 0"),
        (["sweep.fail_fast=null"], "sweep.fail_fast must be an integer of at least 1, got null"),
        (["sweep=tpe", INTERVAL, "sweep.trials=null"], "sweep.trials must be an integer of at least 1, got null"),
        (["sweep.retries=-1"], "sweep.retries must be an integer of at least 0, got -1"),
        (["sweep.direction=up"], "sweep.direction must be one of min, max or null, got up"),
        (["sweep.pruner=foo"], "sweep.pruner must be one of median, hyperband or null, got foo"),
        (["sweep=foo"], 'Unknown sweep "foo"'),
        (["sweep.metric=val/strange"], "whether lower or higher values are better is unknown. Give"),
        (["sweep.sbatch=5"], "sweep.sbatch must be a string or null, got the number 5"),
        (["hydra.sweep.dir=x"], "hydra.sweep.dir=x has no effect on ganrun's sweeper"),
        (["hydra/launcher=foo"], 'Unknown hydra/launcher "foo"'),
        (["seed=1,2", "hydra/launcher=joblib"], "gets sweep.jobs jobs at a time; sweep.jobs=null is one"),
        (["hydra/launcher=joblib", "sweep.sbatch=x"], "hydra/launcher=joblib and sweep.sbatch both start the jobs"),
        *((["seed=1,2", f"sweep.name={name}"], "sweep.name must be the name of a folder") for name in OUTSIDE),
        (["sweep.seeds=2000000000"], "sweep.seeds must be an integer from 1 to 100000 or null"),
        (["batch_size=range(1,2000000000)"], "batch_size=range(1,2000000000) has more than 100,000 values"),
        (["seed=range(0,2000000000)"], "has more than 100,000 values"),
        (["batch_size=range(1,1001)", "kimg=range(1,1001)"], "The grid has up to 1,000,000 points"),
        (["sweep.fresh=perhaps"], "sweep.fresh must be true or false, got perhaps"),
        (["sweep.sampler=foo"], "sweep.sampler must be one of grid, tpe"),
        (["kimg=-1"], "kimg must be a number above 0, got -1"),
        (["trainer.devices=1,abc"], "trainer.devices must be an integer of at least 1, -1 or auto"),
        (["trainer.devices=null", "seed=1,2"], "trainer.devices must be an integer"),
        (["trainer.devices=0", "seed=1,2"], "trainer.devices must be an integer of at least 1"),
        (["seed=abc"], "seed must be an integer from 0 to 4294967295, got abc"),
        (["seed=1,2", "sweep.seeds=2"], "lists 2 seeds, but sweep.seeds=2"),
        (["folder=a,b"], "folder=a,b cannot vary"),
        (["sweep.jobs=1,2"], "sweep.jobs=1,2 cannot vary"),
        ([INTERVAL], "is an interval, which a grid cannot enumerate"),
        (["optimizer.lrr=interval(0,1)", "sweep=random"], "Unknown key optimizer.lrr"),
        (["sweep=tpe"], "sweep=tpe has nothing to search"),
        (["sweep=tpe", INTERVAL, "metrics=none"], "sweep=tpe needs a score"),
        (["sweep=tpe", INTERVAL, "metrics=modes,none"], "sweep=tpe needs a score"),
        (["seed=1,2", "sweep.pruner=median", "metrics=none"], "sweep.pruner=median needs a score"),
        (["sweep=tpe", "optimizer.lr=tag(log,interval(0,1))"], "a log interval must start above 0"),
        ([*VARIED, "sweep.only=[model.c]"], "sweep.only: 'model.c' has no condition"),
        (
            [*VARIED, "sweep.only=['model.c if model=wgan']"],
            "'model=wgan' is not a condition. Write KEY OPERATOR VALUE",
        ),
        ([*VARIED, "sweep.only=['model.c if model>3']"], "compares model=gan with 3, which have no order"),
        ([*VARIED, "sweep.only=['model.c if model==dcgan']"], "its condition in sweep.only (model==dcgan) never holds"),
        ([*VARIED, "sweep.only=['model.d if model==wgan']"], "a condition for model.d, which does not vary"),
        (
            [*VARIED, "sweep.only=['model.c if model==wgan and nix==3']"],
            "the condition of model.c names nix, and there is no such",
        ),
        (
            [*VARIED, "sweep.only=['model.c if model.d_steps==1', 'model.d_steps if kimg>1']", "model.d_steps=1,2"],
            "model.d_steps, which must come before it",
        ),
        ([*VARIED], "Unknown key model.c"),
        ([*VARIED, "sweep.only=['model.c if model!=gan,dcgan']"], "'gan,dcgan' in the condition"),
        ([*VARIED, "sweep.only=['model.c if kimg>[']"], "'[' in the condition 'kimg>[' cannot be parsed"),
        (
            [*VARIED, "sweep.only=['model.c if seed>3']"],
            "depends on the seed, but every point is trained with every seed",
        ),
        (
            ["seed=1,2", "hydra/launcher=joblib", "sweep.jobs=2", "sweep.jobs_per_gpu=2"],
            "sweep.jobs_per_gpu=2 applies only to jobs on this machine",
        ),
        ([INTERVAL, "sweep=random", "sweep.only=5"], "sweep.only must be a string or a list"),
        ([INTERVAL, "sweep=random", "sweep.space=5"], "sweep.space must be a mapping"),
        (["optimizer.lr=interval(1,0)", "sweep=tpe"], "the interval ends at 0.0, below its start 1.0"),
        (["optimizer.lr=intervall(0,1)", "sweep=tpe"], "Allowed in a sweep: a,b,c, range(1,5), choice(a,b)"),
        (["seed=1,2", "sweep.trials=4"], "sweep.trials needs a search method: sweep=tpe, or random, sobol, cmaes"),
        (["sweep=random", INTERVAL, "sweep.storage=foo"], "sweep.storage=foo cannot be used"),
    ],
)
def test_what_cannot_be_swept_is_refused_and_leaves_nothing(words, message, capfd, tmp_path):
    assert main([*RING, *words]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "user", [["sweep=tpe", INTERVAL], ["sweep.pruner=median", "seed=1,2"]], ids=["search", "pruner"]
)
def test_a_search_of_a_model_that_its_metrics_cannot_score_is_refused(user, capfd, tmp_path, monkeypatch):
    """DCGAN finds no codes to compare with the factors of sprites; a grid trains it without scores."""
    monkeypatch.chdir(tmp_path)
    sprites = [
        "train",
        "-m",
        "model=dcgan",
        "data=sprites",
        "data.count=100",
        "network.width=4",
        "logger=none",
        "kimg=0.1",
    ]
    assert main([*sprites, *user]) == 2
    err = " ".join(capfd.readouterr().err.split())
    assert f"{user[0]} needs a score. metrics=factors needs a model that finds codes" in err
    assert not (tmp_path / "outputs").exists()
    assert main([*sprites, "seed=1,2", "dry_run=true"]) == 0


RUN = ["train", "-m", "model=gan", "network=mlp", "metrics=none", "logger=none"]


def test_a_value_that_is_refused_is_found_before_the_first_job(capfd, tmp_path):
    for name in ("2024", "good"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / name / "a.png")
    before = {*tmp_path.rglob("*")}
    assert main([*RUN, "data=folder", "data.size=32", "data.root=2024,good,nix"]) == 2
    assert "Nothing was started, as data.root=nix is refused: data.root=nix does not exist" in capfd.readouterr().err
    assert {*tmp_path.rglob("*")} == before
    assert main([*RUN, "data=folder", "data.size=32", "data.root=2024,good", "dry_run=true"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data=ring", "optimizer.lr=1e-3,-1"], "optimizer.lr must be a number above 0, got -1"),
        (["data=ring", "batch_size=4,8,0.5"], "batch_size must be an integer of at least 1, got 0.5"),
        (["data=digits", "loss=minimax,nix"], 'Unknown loss "nix"'),
        (["data=digits", "optimizer.foo=1", "seed=1,2"], "Unknown key optimizer.foo"),
        (["data=ring", "network.generator.hidden=[8],[0]"], "as network.generator.hidden=[0] is refused"),
        (["data=ring", "optimizer.lr=range(-300,1)"], "optimizer.lr must be a number above 0, got -300"),
    ],
)
def test_every_value_is_checked_before_the_first_job(capfd, tmp_path, words, message):
    assert main([*RUN, *words]) == 2
    assert message in capfd.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_a_single_point_that_does_not_fit_leaves_the_others(capfd):
    assert main(["train", "-m", "model=gan,dcgan", "data=ring,digits", "metrics=none", "dry_run=true"]) == 0
    err = capfd.readouterr().err
    assert "the point model=dcgan data=ring will be refused: model=dcgan needs examples (x), as images" in err
    assert err.count("will be refused") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["logger=none,wandb"], "logger=wandb is refused: logger=wandb needs the package wandb"),
        (["callbacks.signals=null", "seed=1,2"], "Nothing was started: callbacks must include Signals"),
        (["trainer.strategy=auto,nix"], "trainer.strategy=nix is refused"),
        (["trainer.accelerator=cpu,cuda"], "trainer.accelerator=cuda is refused"),
    ],
)
def test_points_are_checked_as_runs_are_with_logger_callbacks_scores_and_hardware(words, message, capfd, tmp_path):
    assert main([*RING, "kimg=0.1", *words]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert "TPU" not in err  # what Lightning says of the hardware
    assert [*tmp_path.iterdir()] == []


def test_all_points_of_a_grid_are_checked_and_of_a_search_all_values(capfd, monkeypatch):
    checked = []
    monkeypatch.setattr(validate, "find_refusal", lambda config, settings: checked.append(config.optimizer.lr) or "")
    axes = ["optimizer.lr=range(1,8)", "batch_size=range(1,16)"]
    assert main([*RING, "metrics=none", "dry_run=true", *axes]) == 0
    assert len(checked) == 7 * 15
    assert "checking 105 points" in capfd.readouterr().err
    checked.clear()
    assert main([*RING, INTERVAL, "batch_size=4,8,16", "sweep=random", "dry_run=true"]) == 0
    assert {0.1, 1.0} == {*checked}
    assert len(checked) == 4  # each value of each axis, not each pair


def test_a_dry_run_announces_the_folder_of_the_sweep(capfd):
    small = ["network.generator.hidden=[4]", "network.discriminator.hidden=[4]", "metrics=none", "kimg=0.1", "seed=1,2"]
    assert main([*RING, *small, "dry_run=true"]) == 0
    announced = re.search(r"each with seed 1, 2, in (\S+)", capfd.readouterr().err)[1]
    assert not Path(announced).exists()
    assert main([*RING, *small]) == 0
    assert Path(announced, "sweep.json").is_file()


SMALL = ["network.generator.hidden=[4]", "network.discriminator.hidden=[4]", "metrics=none"]


def test_a_dry_run_says_how_long_all_jobs_take(capfd, monkeypatch):
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    assert main([*RING, *SMALL, "minutes=0.1", "seed=1,2,3", "sweep.jobs=2", "sweep.threads=1", "dry_run=true"]) == 0
    expected = "time: about 0:12 for 3 jobs, 2 at a time, if all take as long as the first: 0:06 by itself"
    assert expected in capfd.readouterr().err
    assert used == [1, torch.get_num_threads()]
    assert main([*RING, *SMALL, "seed=1,2", "hydra/launcher=joblib", "sweep.jobs=2", "dry_run=true"]) == 0
    assert "time:" not in capfd.readouterr().err  # of another machine, perhaps


def test_a_dry_run_says_why_it_has_no_time(capfd, monkeypatch):
    monkeypatch.setattr(rehearsal, "free_bytes", lambda cfg: 1000)
    assert main([*RING, *SMALL, "seed=1,2", "dry_run=true"]) == 0
    err = capfd.readouterr().err
    assert re.search(r"time: not measured: the activations of a batch take more than .* and 1 kB are free", err)
    assert "nothing was written" in err


@pytest.mark.slow
def test_thirty_thousand_points_are_planned_in_seconds(capfd):
    axes = ["optimizer.lr=range(1,301)", "batch_size=range(1,101)"]
    start = time.process_time()
    assert main([*RING, "metrics=none", "dry_run=true", *axes]) == 0
    assert time.process_time() - start < 30  # before: two minutes
    assert "30000 points by grid" in capfd.readouterr().err


@pytest.mark.slow
def test_points_that_differ_in_plain_values_are_composed_once():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("train", ["data=ring"], RunMode.MULTIRUN)
        composed = []

        def compose(values):
            composed.append(values)
            return loader.load_sweep_config(master, ["data=ring", *(f"{key}={text}" for key, text in values.items())])

        cache = ConfigCache(compose, lambda key: bool(loader.get_group_options(key)))
        points = [{"model": m, "kimg": k, "data.modes": d} for m in ("gan", "wgan") for k in "345" for d in ("4", "6")]
        for point in points:
            overrides = [f"{key}={text}" for key, text in point.items()]
            whole = loader.load_sweep_config(master, ["data=ring", *overrides])
            config = cache.config(point).copy()
            assert config.hydra.overrides.task == whole.hydra.overrides.task
            for each in (config, whole):
                OmegaConf.set_struct(each, False)
                del each["hydra"]
            assert OmegaConf.to_container(config) == OmegaConf.to_container(whole)
        assert len(composed) == 2


@pytest.mark.slow
def test_experiments_with_different_search_spaces_cannot_be_swept_together(capfd, tmp_path):
    assert main(["train", "-m", "experiment=ring,grid"]) == 2
    assert "experiment=ring changes the search space of the sweep" in capfd.readouterr().err
    assert main(["train", "-m", "experiment=created_equal,created_equal_wgan", "seed=1,2"]) == 2
    assert "Start a sweep for each such choice" in capfd.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_a_search_over_points_with_different_scores_is_refused(capfd):
    assert main(["train", "-m", "model=gan", "data=ring,digits", INTERVAL, "sweep=tpe"]) == 2
    assert "these points have several: val/fd_lenet, val/mode_overlap" in capfd.readouterr().err


def test_sbatch_options_without_slurm_are_refused_before_anything_is_written(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    for more in ([], ["dry_run=true"]):
        assert main([*RING, INTERVAL, "sweep=random", "sweep.sbatch='--gpus=1'", *more]) == 2
        assert "needs Slurm" in capfd.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_sweep_settings_without_a_sweep_are_refused(capfd):
    assert main(["train", "data=ring", "sweep.jobs=2"]) == 2
    assert "sweep.jobs=2 applies to sweeps, which need -m: ganrun train -m" in capfd.readouterr().err


@pytest.mark.slow
def test_a_conditional_parameter_varies_only_where_its_condition_holds(capfd, tmp_path):
    critic = ["model.n_critic=1,5", "optimizer=rmsprop,adam"]
    only = "['model.c if model==wgan', 'model.n_critic if model.c>0.05 and optimizer!=adam']"
    assert main([*RING, *VARIED, *critic, f"sweep.only={only}", "dry_run=true"]) == 0
    points = [line.split("  ")[1] for line in capfd.readouterr().err.splitlines() if line.startswith("point ")]
    assert points == [
        "model=gan optimizer=rmsprop",
        "model=gan optimizer=adam",
        "model=wgan optimizer=rmsprop model.c=0.01",
        "model=wgan optimizer=rmsprop model.c=0.1 model.n_critic=1",
        "model=wgan optimizer=rmsprop model.c=0.1 model.n_critic=5",
        "model=wgan optimizer=adam model.c=0.01",
        "model=wgan optimizer=adam model.c=0.1",
    ]
    assert [*tmp_path.iterdir()] == []


def test_a_single_condition_needs_no_brackets(capfd):
    assert main([*RING, *VARIED, "sweep.only='model.c if model==wgan'", "dry_run=true"]) == 0
    assert "3 points by grid" in capfd.readouterr().err


def test_a_condition_may_compare_with_null(capfd):
    only = "['model.c if model==wgan and clip==null']"
    assert main([*RING, *VARIED, f"sweep.only={only}", "dry_run=true"]) == 0
    assert "3 points by grid" in capfd.readouterr().err


def test_a_sweep_of_an_experiment_may_be_changed_on_the_command_line(capfd):
    """As in the README: the ring has ten seeds of its own."""
    axes = ["optimizer.lr=tag(log,interval(1e-5,1e-2))", "optimizer.betas.0=interval(0,0.99)"]
    search = ["sweep=tpe", "sweep.trials=30", "sweep.seeds=1", "sweep.pruner=median"]
    assert main(["train", "-m", "experiment=ring", "kimg=100", *axes, *search, "dry_run=true"]) == 0
    assert "30 points by tpe, each with seed 0, in" in capfd.readouterr().err
    assert main(["train", "-m", "experiment=ring", "sweep.seeds=2", "dry_run=true"]) == 0
    assert "each with seed 0, 1, in" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("devices", "jobs", "available", "gpus"),
    [
        ([1], 2, 4, 1),
        ([2, 4], 2, 4, 4),
        (["auto"], 1, 4, 4),
        (["auto"], 2, 4, 1),
        ([[2, 3]], 1, 4, 0),
        ([[0, 1]], 2, 0, 0),
        ([-1], 1, 2, 2),
        ([2], 2, 0, 2),
    ],
)
def test_a_job_gets_as_many_gpus_as_its_trainer_asks_for(devices, jobs, available, gpus):
    configs = [OmegaConf.create({"trainer": {"accelerator": "auto", "devices": one}}) for one in devices]
    assert validate.gpus_per_job(configs, jobs, available) == gpus


def test_jobs_that_run_side_by_side_cannot_name_their_gpus():
    config = OmegaConf.create({"trainer": {"accelerator": "auto", "devices": [2, 3]}})
    with pytest.raises(UserError, match=r"names GPUs, but ganrun assigns GPUs to jobs that run side by side"):
        validate.gpus_per_job([config], 2, 4)


def test_more_gpus_than_there_are_are_refused():
    config = OmegaConf.create({"trainer": {"accelerator": "auto", "devices": 3}})
    with pytest.raises(UserError, match=r"=3 asks for more GPUs than there are .2.. Set trainer.devices=2"):
        validate.gpus_per_job([config], 2, 2)


def test_a_dry_run_lists_the_points_and_writes_nothing(capfd, tmp_path):
    assert main([*RING, "model.d_steps=1,2", "seed=3,4", "dry_run=true"]) == 0
    err = capfd.readouterr().err
    assert "point 1  model.d_steps=2" in err
    assert "2 points by grid, each with seed 3, 4, in outputs/sweeps/d_steps+seed-" in err
    assert main([*RING, INTERVAL, "sweep=tpe", "dry_run=true"]) == 0
    assert "50 points by tpe" in capfd.readouterr().err
    assert main([*RING, "seed=1,2", "folder=mine", "dry_run=true"]) == 0
    assert "each with seed 1, 2, in mine" in capfd.readouterr().err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "To show a sweep: ganrun sweep NAME"),
        (["nix"], "nix is not a sweep folder"),
        (["resume"], "To show a sweep: ganrun sweep NAME"),
        (["resume", "nix"], "nix is not a sweep folder"),
    ],
)
def test_a_sweep_that_does_not_exist_is_refused(words, message, capfd):
    assert main(["sweep", *words]) == 2
    assert message in capfd.readouterr().err

"""No value of the environment reaches a file or the terminal by a config that somebody else has saved."""

import os
from contextlib import nullcontext

import pytest
import torch
from helpers.runs import RING, load_checkpoint
from omegaconf import OmegaConf

import ganrun
from ganrun.cli.main import main
from ganrun.errors import UserError

SECRET = "hunter2hunter2"
CALLS = ["${oc.env:GANRUN_TEST_SECRET}", "x${oc.decode:${oc.env:GANRUN_TEST_SECRET}}", "${oc.select:a,${hydra:env}}"]
KEYS = ["data.name", "parent", "model", "logger.save_dir", "callbacks.progress", "schedule.x"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder in the working folder, of a time when the variable had no value."""
    monkeypatch.chdir(tmp_path)
    ganrun.train([*RING, "folder=run"])
    monkeypatch.setenv("GANRUN_TEST_SECRET", SECRET)
    return tmp_path / "run"


def plant(run, key, value):
    """Put a value into the checkpoint's config and plan, and into config.yaml."""
    path = next((run / "checkpoints").glob("*.ckpt"))
    content = load_checkpoint(run, path.name)
    for name in ("config", "plan"):
        content["ganrun"][name] = changed(content["ganrun"][name], key, value)
    torch.save(content, path)
    for name in ("manifest.json", "status.json"):
        for file in run.rglob(name):
            file.write_text(file.read_text().replace('"sha256": {', '"sha256": {}, "unused": {'))
    config = changed(OmegaConf.to_container(OmegaConf.load(run / "config.yaml")), key, value)
    (run / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))


def changed(config, key, value):
    node = config
    *parents, last = key.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    return config


def assert_no_leak(folder, output):
    assert SECRET not in output.out + output.err
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(("key", "value"), [*((key, CALLS[0]) for key in KEYS), *(("data.name", v) for v in CALLS[1:])])
def test_a_saved_config_cannot_read_the_environment(run, key, value, capsys):
    plant(run, key, value)
    for command in (["sample"], ["eval", "metrics=modes"], ["resume", "kimg=0.064"], ["resume", "branch=true"]):
        is_callback = key.startswith("callbacks")  # not part of a model
        code = main([command[0], "run", *command[1:]])
        output = capsys.readouterr()
        assert code == (0 if is_callback and command[0] in ("sample", "eval") else 2), output.err
        assert code == 0 or (f"contains {key}=" in output.err and "trust=true" in output.err)
        assert_no_leak(run.parent, output)
    with nullcontext() if key.startswith("callbacks") else pytest.raises(UserError, match="with a resolver"):
        ganrun.load("run")


@pytest.mark.parametrize("key", KEYS)
def test_comparing_and_listing_runs_reads_no_environment(run, key, capsys):
    ganrun.train([*RING, "seed=1", "folder=other"])
    plant(run, key, CALLS[0])
    assert main(["compare", "run", "other", "out=page"]) == 0
    assert len(ganrun.runs(".")) == 2
    assert_no_leak(run.parent, capsys.readouterr())


@pytest.mark.parametrize("key", KEYS)
def test_a_training_that_continues_a_folder_reads_no_environment_for_it(run, key, capsys):
    plant(run, key, CALLS[0])
    main(["train", *RING, "folder=run", "resume=true", "kimg=0.064"])
    assert_no_leak(run.parent, capsys.readouterr())


def test_the_users_own_command_and_configs_read_the_environment_and_the_run_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_TEST_LR", "0.003")
    own = [*RING, "optimizer.lr='${oc.decode:${oc.env:GANRUN_TEST_LR}}'", "folder=run"]
    assert main(["train", *own]) == 0
    assert load_checkpoint(tmp_path / "run")["ganrun"]["config"]["optimizer"]["lr"] == 0.003
    assert main(["sample", "run"]) == 0
    assert main(["train", *own, "kimg=0.064", "resume=true"]) == 0
    assert main(["resume", "run", "kimg=0.128"]) == 2
    command = capsys.readouterr().err.strip().rpartition("ganrun ")[2]
    assert command == "resume run kimg=0.128 trust=true"
    assert main(command.split()) == 0


@pytest.mark.slow
def test_a_folder_named_like_an_interpolation_is_only_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_TEST_SECRET", SECRET)
    name = "outputs/a/b/${oc.env:GANRUN_TEST_SECRET}"
    ganrun.train([*RING, "folder=run"])
    os.makedirs("outputs/a/b")
    os.rename("run", name)
    assert main(["resume", "last", "kimg=0.064"]) == 0
    assert main(["resume", "last", "branch=true", "folder=branch"]) == 0
    assert main(["sample", "last"]) == 0
    assert_no_leak(tmp_path, capsys.readouterr())

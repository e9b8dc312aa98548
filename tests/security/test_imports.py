"""No module of a working folder is imported, by no command and by no process that a command starts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.hostile import plant_modules
from helpers.runs import RING

import ganrun
from ganrun.sweep.executors.base import PROGRAM

SITE = ("sitecustomize", "usercustomize")  # Python itself imports these at its start
OPTIONAL = ("wandb", "scipy", "colorama", "tensorflow", "matplotlib", "pandas", "torchvision", "IPython", "cloudpickle")
PLANTED = sorted({name for name in sys.stdlib_module_names if name.isidentifier() and name[:2] != "__"} - {"ganrun"})
INSTALLED = ("torch", "numpy", "yaml", "hydra", "omegaconf", "pytorch_lightning", "optuna", "rich", "tqdm", "PIL")
SCORED_RING = [*(arg for arg in RING if arg != "metrics=none"), "metrics.samples=50"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    ganrun.train([*RING, f"folder={folder}"])
    return folder


@pytest.fixture
def hostile(trained, tmp_path):
    """A run folder with every module that a command might import, and the file that tells which were imported."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run", plant_modules(tmp_path / "run", *PLANTED, *INSTALLED, *OPTIONAL, *SITE)


def start(folder, *args, program=PROGRAM):
    """Run a command in the folder, with the package that is being tested on PYTHONPATH."""
    source = str(Path(ganrun.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONSAFEPATH", None)
    done = subprocess.run([*program, *args], cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


COMMANDS = [
    ["sample", ".", "n=4"],
    ["eval", ".", "metrics=modes", "samples=100"],
    ["resume", ".", "kimg=0.064"],
    ["resume", ".", "branch=true", "kimg=0.064", "folder=branch"],
    ["compare", ".", "."],
    ["list"],
    ["train", *RING, "folder=new"],
    ["train", *RING, "folder=new", "trainer.devices=2", "trainer.accelerator=cpu"],
    ["train", "-m", *RING, "seed=1,2", "sweep.jobs=2", "folder=new"],
    ["train", "-m", *RING, "seed=1,2", "sweep.jobs=2", "folder=new", "hydra/launcher=joblib"],
    ["train", "-m", *RING, "seed=1,2", "folder=new", "hydra/launcher=joblib", "hydra/sweeper=basic"],
    ["train", "-m", *SCORED_RING, "sweep=tpe", "sweep.trials=2", "optimizer.lr=interval(1e-4,1e-3)", "folder=new"],
]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_imports_nothing_from_its_working_folder(command, hostile):
    folder, mark = hostile
    code, output = start(folder, *command)
    assert not mark.exists(), mark.read_text()
    assert code == 0, output


def test_a_sample_of_a_run_imports_nothing_from_its_folder(hostile):
    folder, mark = hostile
    assert start(folder, "sample", ".", "n=4")[0] == 0
    assert not mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["import torch", "import hydra_plugins.planted"])
def test_planted_modules_are_imported_where_nothing_prevents_it(script, hostile):
    folder, mark = hostile
    for name in PLANTED:
        (folder / f"{name}.py").unlink()
    start(folder, "-c", script, program=[sys.executable])
    assert mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", [["sample", ".", "n=4"], COMMANDS[7], COMMANDS[8]], ids=" ".join)
def test_python_m_ganrun_imports_nothing_but_what_python_imports_before_it(command, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    mark = plant_modules(tmp_path / "run", *INSTALLED, *OPTIONAL, *SITE, "profile", "random", "typing", "logging")
    code, output = start(tmp_path / "run", *command, program=[sys.executable, "-m", "ganrun"])
    assert not mark.exists(), mark.read_text()
    assert code == 0, output


@pytest.mark.slow
def test_modules_of_pythonpath_are_found_and_a_run_of_them_resumes(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "on_path.py").write_text("from ganrun.models.gan import GAN\n\n\nclass Mine(GAN):\n    pass\n")
    source = Path(ganrun.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path / 'own'}{os.pathsep}{source}"}
    words = ["train", "-m", *RING, "seed=1,2", "model._target_=on_path.Mine", "folder=sweep"]
    subprocess.run([*PROGRAM, *words], cwd=tmp_path, env=env, check=True)
    resume = ["resume", "sweep/0-seed-1", "kimg=0.064", "trust=true"]
    subprocess.run([*PROGRAM, *resume], cwd=tmp_path, env=env, check=True)

"""How the jobs of a sweep start: forked by a process that has done the imports, or each as a new Python."""

import logging
import subprocess
import sys

import pytest
from helpers.runs import RING, equal, status, weights
from hydra._internal.hydra import Hydra

from ganrun.cli.main import main
from ganrun.sweep import sweeper, validate

OWN = """
from pathlib import Path
from ganrun.models.gan import GAN

class Mine(GAN):
    def on_train_start(self):
        print({text!r}, flush=True)
        Path(__file__).write_text(Path(__file__).read_text().replace("first", "second"))
"""


def test_what_a_sweep_needs_before_its_first_word_does_not_import_torch():
    """Its import takes seconds, in which the terminal would stay blank."""
    code = "import sys, ganrun.cli.hydra_app, ganrun.sweep.sweeper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_forked_jobs_are_bit_equal_to_runs_that_are_started_by_hand(tmp_path, monkeypatch, threads):
    monkeypatch.chdir(tmp_path)
    settings = [*RING, "batch_size=512", "network.generator.hidden=[512]", "metrics=modes", "kimg=2"]
    sweep = ["train", "-m", *settings, "seed=1,2", "sweep.jobs=2", f"sweep.threads={threads}", "folder=forked"]
    assert main(sweep) == 0
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    command = [sys.executable, "-m", "ganrun", "train", *settings, "seed=2", "folder=by-hand"]
    assert subprocess.run(command, check=False).returncode == 0
    run, by_hand = tmp_path / "forked" / "1-seed-2", tmp_path / "by-hand"
    assert equal(weights(run), weights(by_hand))
    assert status(run)["threads"] == threads
    assert status(run)["best"] == status(by_hand)["best"]


@pytest.mark.slow
def test_a_job_can_start_as_a_new_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweeper, "ForkServer", None)
    assert main(["train", "-m", *RING, "seed=1", "folder=sweep", "sweep.start=spawn"]) == 0
    assert status(tmp_path / "sweep" / "0-seed-1")["state"] == "done"


@pytest.mark.slow
def test_own_modules_are_imported_anew_by_each_job(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(OWN.format(text="first"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"), prepend=":")
    monkeypatch.syspath_prepend(tmp_path / "own")  # this process checks the points
    assert (
        main(["train", "-m", *RING, "model._target_=mine.Mine", "kimg=0.1", "seed=1,2", "sweep.jobs=1", "folder=sweep"])
        == 0
    )
    logs = [path.read_text().splitlines() for path in sorted((tmp_path / "sweep" / "logs").iterdir())]
    assert ["first" in logs[0], "second" in logs[1]] == [True, True]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_the_start_of_jobs_elsewhere_is_not_this_setting(tmp_path, monkeypatch, capfd, start):
    monkeypatch.chdir(tmp_path)
    words = ["train", "-m", *RING, "seed=1,2", "hydra/launcher=joblib", "sweep.jobs=2", f"sweep.start={start}"]
    assert main(words) == 2
    message = f"sweep.start={start} applies only to jobs on this machine. These are started by hydra/launcher; remove"
    assert message in capfd.readouterr().err


def test_fork_is_refused_where_the_system_cannot(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(validate, "HAS_FORK", False)
    assert main(["train", "-m", *RING, "seed=1,2", "sweep.start=fork"]) == 2
    assert "sweep.start=fork works on Linux only. Leave it out." in capfd.readouterr().err


SWEEPS_ITSELF = "# @package _global_\nhydra:\n  mode: MULTIRUN\n"


@pytest.mark.parametrize("is_job", [False, True])
@pytest.mark.parametrize(
    ("words", "modes_of_no_job"),
    [
        ([], ["RUN"]),
        (["--config-dir", "."], ["MULTIRUN", "RUN"]),  # Hydra composes once more to read the mode
        (["--config-dir", ".", "+mode=own"], ["MULTIRUN", "MULTIRUN"]),
        (["hydra.mode=MULTIRUN"], ["MULTIRUN", "MULTIRUN"]),
    ],
)
def test_a_config_is_composed_once_unless_the_users_own_may_set_the_mode(
    tmp_path, monkeypatch, caplog, is_job, words, modes_of_no_job
):
    caplog.set_level(logging.INFO)  # at DEBUG, Hydra composes again to print the config
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mode").mkdir()
    (tmp_path / "mode" / "own.yaml").write_text(SWEEPS_ITSELF)
    if is_job:
        monkeypatch.setenv("GANRUN_SWEEP", str(tmp_path))
    modes = []
    compose = Hydra.compose_config
    monkeypatch.setattr(
        Hydra, "compose_config", lambda *args, **kw: modes.append(kw["run_mode"].name) or compose(*args, **kw)
    )
    main(["train", "model=gan", "data=ring", "kimg=-1", *words])
    assert modes == (["RUN"] if is_job else modes_of_no_job)

"""The models that are configs alone, and some others, by the real command: two batches, samples, a kill in between."""

import os
import signal

import numpy as np
import pytest
from helpers.model_training import CONDITIONED, PRESETS, PUZZLING, RECONSTRUCTING
from helpers.runs import equal, status, weights

from ganrun.cli.main import main

KILL = """
import os
import signal
from pathlib import Path

from pytorch_lightning import Callback


class Kill(Callback):
    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if model.batches_seen == 5 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""
ALL = PRESETS | CONDITIONED | RECONSTRUCTING | PUZZLING
TINY = ["metrics=none", "logger=none", "seed=4"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_preset_trains_on_two_batches_and_draws_samples(cli, name):
    assert cli.run("train", *ALL[name], *TINY, "kimg=0.008", "ema.half_life_kimg=0.01", "folder=run") == 0
    assert (status(cli.folder / "run")["state"], status(cli.folder / "run")["kimg"]) == ("done", 0.008)
    assert cli.run("sample", "run", "n=3", "as=npz", "out=made") == 0
    with np.load(cli.folder / "made" / "samples.npz") as made:
        assert made["x"].shape == (3, 28, 28, 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("name", ALL)
def test_a_preset_killed_and_resumed_ends_as_if_it_had_not_been(cli, name):
    (cli.folder / "killing.py").write_text(KILL)
    args = [*ALL[name], *TINY, "kimg=0.032", "checkpoint.kimg=0.012", "ema.half_life_kimg=0.01"]
    args += ["+callbacks.kill._target_=killing.Kill", "model.d_steps=2"]
    assert killed_by(["train", *args, "folder=run"]) == signal.SIGKILL
    assert cli.run("resume", "run", "trust=true") == 0
    assert cli.run("train", *args, "folder=whole") == 0
    assert equal(weights(cli.folder / "run"), weights(cli.folder / "whole"))


def killed_by(args):
    """Run the command in a child; return the signal that ended it."""
    pid = os.fork()
    if not pid:
        os._exit(main(args))
    return -os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

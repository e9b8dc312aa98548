"""What a user's callback, model or scores put into a checkpoint comes back, or is refused before it is committed."""

import json
import sys

import pytest
from helpers.runs import SHORT, equal, lines, load_checkpoint, rewind, status, weights

from ganrun.cli.main import main
from ganrun.training import plain_types

MINE = """
import functools
from collections import defaultdict, deque
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback

from ganrun.metrics.modes import Modes
from ganrun.models.gan import GAN


class Color(Enum):
    RED = 1


class Rich(Callback):
    def __init__(self, sizes=()):
        self.state = {
            "sizes": sizes, "mean": np.float32(0), "histogram": np.zeros(3), "last": deque(maxlen=2),
            "seen": set(), "counts": defaultdict(int), "folder": Path("a"), "dtype": torch.float16,
            "generator": np.random.default_rng(3).bit_generator.state,
        }

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        state, generator = self.state, np.random.default_rng()
        generator.bit_generator.state = state["generator"]
        x = generator.random(3)
        state["mean"] = np.float32(0.9) * state["mean"] + np.float32(x[0])
        state["histogram"] += x
        state["last"].append(np.int64(batch_idx))
        state["seen"].add(batch_idx % 3)
        state["counts"][batch_idx % 2] += 1
        state["generator"] = generator.bit_generator.state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


class Spoilt(Callback):
    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.batches = model.batches_seen

    def state_dict(self):
        return {"deep": [1, {"color": Color.RED if self.batches > 10 else 0}]}

    def load_state_dict(self, state):
        pass


class Model(GAN):
    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.save_hyperparameters()
        self.count = np.int64(0)

    def after_turn(self, player):
        self.count += 1

    def get_extra_state(self):
        return {"count": self.count, "path": Path("x")}

    def set_extra_state(self, state):
        self.count = state["count"]

    def on_save_checkpoint(self, checkpoint):
        super().on_save_checkpoint(checkpoint)
        checkpoint["mine"] = np.arange(3)


class Scores(Modes):
    def score(self, *arguments, **settings):
        return {name: np.float32(value) for name, value in super().score(*arguments, **settings).items()}

    def protocol(self, *arguments):
        return {**super().protocol(*arguments), "mine": np.int64(3)}
"""
ARGS = [*SHORT, "kimg=0.4", "checkpoint.every_kimg=0.1"]


@pytest.fixture
def own(cli):
    (cli.folder / "mine.py").write_text(MINE)
    return cli


def assert_resumes_equal(folder):
    run = rewind(folder / "whole", folder / "run", 0.2)
    assert main(["resume", "run", "trust=true"]) == 0
    one, other = weights(run), weights(folder / "whole")
    assert str(one.pop("_extra_state", None)) == str(other.pop("_extra_state", None))
    assert equal(one, other)
    whole = load_checkpoint(folder / "whole")
    for checkpoint in (load_checkpoint(run), whole):
        for name in ("LossCurves", "Length"):  # clocks
            del checkpoint["callbacks"]["CallbackList"][name]
        checkpoint["ganrun"] = None
    assert str(load_checkpoint(run)["callbacks"]["CallbackList"].get("Rich")) == str(
        whole["callbacks"]["CallbackList"].get("Rich")
    )
    return load_checkpoint(run)


def test_a_callback_of_rich_state_resumes_bit_for_bit(own):
    rich = ["+callbacks.rich._target_=mine.Rich", "+callbacks.rich.sizes=[1,2]"]
    assert main(["train", *ARGS, "metrics=none", *rich, "folder=whole"]) == 0
    saved = assert_resumes_equal(own.folder)["callbacks"]["CallbackList"]["Rich"]
    assert saved["sizes"] == [1, 2]


def test_a_model_of_own_state_and_saved_arguments_resumes_bit_for_bit(own):
    assert main(["train", *ARGS, "metrics=none", "model._target_=mine.Model", "folder=whole"]) == 0
    saved = assert_resumes_equal(own.folder)
    assert saved["hyper_parameters"]["seed"] == 0
    assert "optimizers" not in saved["hyper_parameters"]
    assert main(["sample", "run", "trust=true", "n=4", "out=samples"]) == 0


def test_scores_of_numpy_are_numbers_in_every_file(own):
    assert main(["train", *ARGS, "metrics._target_=mine.Scores", "folder=whole"]) == 0
    assert_resumes_equal(own.folder)
    assert all(isinstance(value, float) for value in status(own.folder / "run")["best"].values())
    assert lines(own.folder / "run", "protocol")[0]["protocol"]["mine"] == 3


def test_a_state_that_cannot_be_read_back_is_refused_before_it_is_committed(own, capsys):
    args = [*ARGS, "metrics=none", "+callbacks.mine._target_=mine.Spoilt", "folder=run"]
    assert main(["train", *args]) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("ganrun: Cannot save kimg000000.")
    assert "callbacks.CallbackList.Spoilt.deep[1].color is a mine.Color" in message
    assert "Earlier checkpoints are intact" in message
    run = own.folder / "run"
    folder = run / "checkpoints"
    assert json.loads((folder / "manifest.json").read_text())["last"] == "kimg000000.200.ckpt"
    assert load_checkpoint(run)["seen"]["images"] == 200
    assert not list(folder.glob(".*"))
    assert status(run)["state"] == "failed"
    (own.folder / "mine.py").write_text(MINE.replace("Color.RED if", "1 if"))
    del sys.modules["mine"]
    assert main(["resume", "run", "trust=true"]) == 0
    assert status(run)["state"] == "done"


def test_the_loader_has_the_last_word(own, capsys, monkeypatch):
    monkeypatch.setattr(plain_types, "UNCHANGED", (*plain_types.UNCHANGED, type))
    (own.folder / "mine.py").write_text(MINE.replace("Color.RED if", "Color if"))
    args = [*ARGS, "metrics=none", "+callbacks.mine._target_=mine.Spoilt", "folder=run"]
    assert main(["train", *args]) == 1
    assert "it holds a mine.Color, which is not read" in capsys.readouterr().err
    assert load_checkpoint(own.folder / "run")["seen"]["images"] == 200
    assert not list((own.folder / "run" / "checkpoints").glob(".*"))


GROWING = """
import torch
from ganrun.models.gan import GAN


class Growing(GAN):
    def sample(self, n, y=None, generator=None):
        if not self.training and self.images_seen != 400:
            raise RuntimeError(f"{self.images_seen} images, {self.batches_seen} batches, {self.progress}")
        return super().sample(n, generator=generator)


class Counting(GAN):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.level = 0

    def after_turn(self, player):
        super().after_turn(player)
        self.level += 1
"""


def test_a_model_loaded_to_sample_knows_how_far_it_was_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "growing.py").write_text(GROWING)
    assert main(["train", *SHORT, "metrics=none", "model._target_=growing.Growing", "folder=run"]) == 0
    import ganrun

    loaded = ganrun.load("run", trust=True)
    assert (loaded.model.images_seen, loaded.model.batches_seen, loaded.model.progress) == (400, 20, 1.0)
    assert main(["sample", "run", "n=4", "trust=true"]) == 0


def test_an_attribute_that_changes_and_is_not_saved_is_warned_of_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "growing.py").write_text(GROWING)
    assert main(["train", *SHORT, "metrics=none", "model._target_=growing.Counting", "folder=run"]) == 0
    assert capsys.readouterr().err.count("The training changes model.level, which no checkpoint holds") == 1

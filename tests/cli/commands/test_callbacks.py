"""The config group of callbacks: their order, a user's own among them, and what a resumed run makes of them."""

import json
import sys

import pytest
import torch
from helpers.runs import load_checkpoint, status

MINE = '''
import json
from collections import Counter
from pathlib import Path

import torch
from pytorch_lightning import Callback


class Calls(Callback):
    """Notes every hook that is called, the batches that it gets and how far Length had come."""

    def __init__(self, path="calls.json"):
        self.path, self.calls, self.batches, self.progress = path, Counter(), [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.calls["on_train_batch_start"] += 1
        self.batches.append([batch_idx, *batch["x"].shape])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        assert batch["x"].shape[0] == 4 and outputs.keys() == {"discriminator", "generator"}
        self.calls["on_train_batch_end"] += 1
        self.progress.append(pl_module.progress)

    def teardown(self, trainer, pl_module, stage):
        self.calls["teardown"] += 1
        report = {"calls": self.calls, "batches": self.batches, "progress": self.progress}
        Path(self.path).write_text(json.dumps(report))


def count(hook):
    def call(self, *args, **kwargs):
        self.calls[hook] += 1

    return call


HANDLED = ("on_train_batch_start", "on_train_batch_end", "teardown", "on_validation", "on_test", "on_predict")
for hook in [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]:
    if not hook.startswith(HANDLED):
        setattr(Calls, hook, count(hook))


class Walk(Callback):
    """A state that depends on every batch."""

    def __init__(self, step=0.1):
        self.step, self.position = step, torch.zeros(3, dtype=torch.float64)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.position = self.position * 0.9 + self.step * batch_idx + batch["x"].mean().double()

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state_dict):
        self.position = state_dict["position"]


class Thing:
    pass
'''
TINY = [
    *("model=gan", "data=ring", "batch_size=4", "kimg=0.032", "metrics=none", "logger=none"),
    *("network.generator.hidden=[8]", "network.discriminator.hidden=[8]"),
]  # 8 batches


@pytest.fixture
def mine(cli, monkeypatch):
    """The working folder, with the user's module in it."""
    (cli.folder / "mine.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return cli


def add(name, kind, **settings):
    return [f"+callbacks.{name}._target_=mine.{kind}", *(f"+callbacks.{name}.{k}={v}" for k, v in settings.items())]


def report(cli, path="calls.json"):
    return json.loads((cli.folder / path).read_text())


def test_a_users_callback_gets_every_hook_and_each_batch_of_a_step_that_holds_several(mine):
    assert mine.run("train", *TINY, *add("mine", "Calls"), "trainer.batches_per_step=3", "folder=run") == 0
    calls = report(mine)["calls"]
    assert [calls[hook] for hook in ("on_train_batch_start", "on_train_batch_end")] == [8, 8]
    assert report(mine)["batches"] == [[k, 4, 2] for k in range(8)]
    once = ("setup", "teardown", "on_fit_start", "on_fit_end", "on_train_start", "on_train_end", "on_train_epoch_start")
    assert {hook: calls[hook] for hook in once} == dict.fromkeys(once, 1)
    turns = ("on_before_backward", "on_after_backward", "on_before_optimizer_step")
    assert {hook: calls[hook] for hook in turns} == dict.fromkeys(turns, 16)  # two players
    assert calls["on_save_checkpoint"] > 0
    assert "on_exception" not in calls


def test_an_added_callback_acts_after_length_and_one_that_is_placed_before_it_does_not(mine):
    folder = mine.folder / "conf" / "callbacks"
    folder.mkdir(parents=True)
    (folder / "early.yaml").write_text(
        "defaults: [_self_, default]\nearly:\n  _target_: mine.Calls\n  path: early.json\n"
    )
    words = ["--config-dir", "conf", "callbacks=early", *add("mine", "Calls", path="late.json")]
    assert mine.run("train", *words, *TINY, "folder=run") == 0
    assert report(mine, "late.json")["progress"] == [(k + 1) / 8 for k in range(8)]
    assert report(mine, "early.json")["progress"] == [k / 8 for k in range(8)]


def test_null_removes_a_callback_and_one_that_every_training_needs_is_kept(mine, capsys):
    assert mine.run("train", *TINY, "callbacks.samples=null", "callbacks.progress=null", "folder=run") == 0
    assert not (mine.folder / "run" / "samples").exists()
    capsys.readouterr()
    assert mine.run("train", *TINY, "callbacks.length=null", "folder=other") == 2
    assert "callbacks must include Length" in capsys.readouterr().err
    assert not (mine.folder / "other").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+callbacks.mine._target_=mine.Nothing"], "mine.Nothing cannot be built from the config"),
        (["+callbacks.mine._target_=mine.Thing"], "callbacks.mine must be a Lightning Callback or null, got"),
        (["+callbacks.mine=mine.Calls"], "callbacks.mine must be a Lightning Callback or null, got mine.Calls"),
        ([*add("a", "Walk"), *add("b", "Walk")], "Several callbacks save their state as Walk"),
    ],
)
def test_what_is_no_callback_is_refused(mine, capsys, words, message):
    assert mine.run("train", *TINY, *words, "folder=run") == 2
    assert message in capsys.readouterr().err


def test_the_state_of_a_users_callback_is_restored_bit_for_bit_and_takes_trust(mine, capsys):
    assert mine.run("train", *TINY, *add("mine", "Walk", step=0.3), "folder=whole") == 0
    assert mine.run("train", *TINY, *add("mine", "Walk", step=0.3), "kimg=0.016", "folder=half") == 0
    assert mine.run("resume", "half", "kimg=0.032") == 2
    assert "callbacks.mine._target_=mine.Walk" in capsys.readouterr().err
    assert mine.run("resume", "half", "kimg=0.032", "trust=true") == 0
    whole, half = (load_checkpoint(mine.folder / run)["callbacks"]["CallbackList"]["Walk"] for run in ("whole", "half"))
    assert torch.equal(whole["position"], half["position"])
    assert whole["position"].abs().sum() > 0


def test_a_resumed_run_may_gain_a_callback_but_not_lose_one_that_has_a_state(mine, capsys):
    assert mine.run("train", *TINY, "folder=run") == 0
    assert mine.run("resume", "run", "kimg=0.048", *add("mine", "Walk")) == 0
    assert "Walk" in load_checkpoint(mine.folder / "run")["callbacks"]["CallbackList"]
    assert mine.run("resume", "run", "kimg=0.064", "callbacks.mine=null", "trust=true") == 2
    assert "the state of Walk, which is not a callback of this run" in capsys.readouterr().err
    assert status(mine.folder / "run")["kimg"] == 0.048
    assert mine.run("resume", "run", "kimg=0.064", "callbacks.samples=null", "trust=true") == 2
    assert "the state of Samples" in capsys.readouterr().err


def test_the_settings_of_a_resumed_runs_callbacks_follow_its_own(mine):
    assert mine.run("train", *TINY, "folder=run") == 0
    text = (mine.folder / "run" / "config.yaml").read_text()
    assert "every_kimg: ${pictures_kimg}" in text
    assert mine.run("resume", "run", "kimg=0.064", "pictures_kimg=0.016") == 0
    samples = {path.name for path in (mine.folder / "run" / "samples").iterdir()}
    assert {"samples-kimg000000.048.png", "samples-kimg000000.064.png"} <= samples
    assert "samples-kimg000000.036.png" not in samples


def test_sampling_a_run_with_a_users_callback_takes_no_trust(mine):
    assert mine.run("train", *TINY, *add("mine", "Calls"), "folder=run") == 0
    assert mine.run("sample", "run", "n=4", "out=samples") == 0

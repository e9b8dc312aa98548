"""Several callbacks as one: which hooks are called, in which order, and whose states are whose."""

from types import SimpleNamespace

import pytest
import torch
from helpers.model_training import SMALL, job_of, train
from omegaconf import OmegaConf
from pytorch_lightning import Callback

from ganrun.config.build import build_callbacks
from ganrun.config.renames import update_callback_states, update_config
from ganrun.errors import UserError
from ganrun.files import conf_dir
from ganrun.training.callbacks.callback_list import HANDLED, HOOKS, CallbackList
from ganrun.training.callbacks.compilation import Compilation
from ganrun.training.session import REQUIRED


class Named(Callback):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    @property
    def state_key(self):
        return self.name

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.calls.append((self.name, batch_idx))

    def state_dict(self):
        return {"calls": len(self.calls)} if self.calls else {}

    def load_state_dict(self, state_dict):
        self.calls += [None] * state_dict["calls"]


def test_batches_are_given_to_each_in_their_order_once_each():
    calls = []
    train(job_of(*SMALL["gan"], "trainer.batches_per_step=1"), 3, CallbackList([Named("b", calls), Named("a", calls)]))
    assert calls == [("b", 0), ("a", 0), ("b", 1), ("a", 1), ("b", 2), ("a", 2)]


def test_hooks_that_nobody_implements_are_lightnings_own():
    together = CallbackList([Named("a", [])])
    assert not set(vars(together)) & set(HOOKS)
    model = SimpleNamespace(before_batch=None, after_batch=None)
    together.on_train_start(None, model)
    assert model.before_batch is None
    assert model.after_batch is not None


def test_a_callback_runs_without_the_autocast_of_the_step():
    found = []

    class Look(Callback):
        def on_train_batch_start(self, *_):
            found.append(torch.is_autocast_enabled("cpu"))

        on_train_batch_end = on_train_batch_start

    train(job_of(*SMALL["gan"], "trainer.precision=bf16-mixed"), 2, CallbackList([Look()]))
    assert found == [False] * 4


def test_states_go_to_their_callbacks_and_a_new_one_starts_fresh():
    before = CallbackList([Named("a", [1, 2]), Named("b", [])]).state_dict()
    assert before == {"a": {"calls": 2}}
    calls = {name: [] for name in "abc"}
    CallbackList([Named(name, calls[name]) for name in "cba"]).load_state_dict(before)
    assert {name: len(each) for name, each in calls.items()} == {"a": 2, "b": 0, "c": 0}


def test_a_state_without_its_callback_is_an_error_that_names_it():
    with pytest.raises(UserError, match=r"the state of Curves, .* ganrun resume RUN branch=true"):
        CallbackList([Named("a", [])]).load_state_dict({"Curves": {"seconds": 1}})
    together = CallbackList([Named("a", [])])
    trainer = SimpleNamespace(callbacks=[together])
    with pytest.raises(UserError, match="the state of Together"):
        together.on_load_checkpoint(trainer, None, {"callbacks": {"Together": {}}})
    together.on_load_checkpoint(trainer, None, {"callbacks": {"CallbackList": {}}})


def test_old_names_in_a_checkpoint_are_todays():
    old = {"Together": {"Curves": {"aside": 1}, "Guard": {"counts": 2}, "Length": {"seconds": 3}}}
    new = {"CallbackList": {"LossCurves": {"aside": 1}, "NanGuard": {"counts": 2}, "Length": {"seconds": 3}}}
    assert update_callback_states(old) == new
    assert update_callback_states(new) == new


def test_the_default_group_is_built_in_the_order_of_its_file():
    names = list(OmegaConf.load(conf_dir() / "callbacks" / "default.yaml"))
    built = [type(callback).__name__ for callback in build_callbacks(job_of(*SMALL["gan"]).cfg)]
    assert [name.lower() for name in built] == [name.replace("_", "") for name in names]
    assert [name for name in built if name in {kind.__name__ for kind in REQUIRED}] == [k.__name__ for k in REQUIRED]
    ordered = ["length", "nan_guard", "loss_curves", "evaluation", "pruning", "samples", "checkpointing", "signals"]
    assert [name for name in names if name in ordered] == ordered


def test_a_config_of_version_0_1_gets_the_default_group():
    cfg = job_of(*SMALL["gan"], "log_every=7").cfg
    old = OmegaConf.create({key: value for key, value in OmegaConf.to_container(cfg).items() if key != "callbacks"})
    assert update_config(old).callbacks == cfg.callbacks
    assert old.callbacks.nan_guard.every == 7


@pytest.mark.parametrize("hook", ["on_before_backward", "on_before_optimizer_step"])
def test_a_callback_that_acts_within_a_step_turns_cuda_graphs_off(hook):
    experiment = SimpleNamespace(hardware=SimpleNamespace(cuda_graphs=True, compiles_networks=False))
    acting = type("Acting", (Callback,), {hook: lambda *_: None})()
    for others, graphs in (([Named("a", [])], True), ([acting], False)):
        compilation = Compilation()
        compilation.bind(SimpleNamespace(experiment=experiment, callbacks=[compilation, *others]))
        assert compilation.graphs is graphs


def test_every_hook_of_lightning_is_forwarded():
    everything = type("Everything", (Callback,), {hook: lambda self, *_, **__: None for hook in HOOKS})()
    assert vars(CallbackList([everything])).keys() >= set(HOOKS) - HANDLED

"""Each argument of Lightning's Trainer is passed on, or refused with what to use instead."""

import inspect
import re

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir

from ganrun.config import build, schema
from ganrun.config.hardware import resolve_hardware
from ganrun.config.trainer_arguments import (
    ADDED,
    HONOURED,
    INSTEAD,
    check_environment,
    check_trainer_arguments,
)
from ganrun.errors import UserError
from ganrun.files import conf_dir


def composed(*overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", ["model=gan", "data=ring", "logger=none", "trainer.accelerator=cpu", *overrides])


def trainer_of(*overrides):
    cfg = composed(*overrides)
    check_trainer_arguments(cfg.trainer)
    return build.build_trainer(cfg, resolve_hardware(cfg))


def test_every_argument_of_the_trainer_is_in_the_table():
    arguments = set(inspect.signature(pl.Trainer).parameters) - {"self", "args", "kwargs"}
    assert arguments <= {*HONOURED, *INSTEAD}
    assert not set(HONOURED) & set(INSTEAD)
    assert {*composed().trainer} == {"_target_", *HONOURED, *ADDED}


@pytest.mark.parametrize("name", INSTEAD)
def test_an_argument_that_is_not_passed_on_is_refused_with_its_substitute(name):
    with pytest.raises(UserError) as error:
        trainer_of(f"+trainer.{name}=1")
    assert str(error.value) == f"trainer.{name} cannot be set. {INSTEAD[name]}"


@pytest.mark.parametrize("advice", sorted(set(INSTEAD.values())))
def test_what_is_advised_is_accepted(advice):
    overrides = [word.rstrip(",.") for word in re.findall(r"\+?[\w.]+=[\w.]+", advice)]
    assert overrides or advice.startswith("Leave it out")
    cfg = composed(*overrides)
    schema.check_values(cfg)
    check_trainer_arguments(cfg.trainer)


@pytest.mark.parametrize("name", ["MAX_STEPS", "FAST_DEV_RUN", "DEVICES"])
def test_the_environment_cannot_set_an_argument_behind_the_config(monkeypatch, name):
    check_environment()
    monkeypatch.setenv(f"PL_TRAINER_{name}", "3")
    with pytest.raises(UserError, match=f"unset PL_TRAINER_{name}"):
        check_environment()


@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "fsdp", "deepspeed", "single_device", "3"])
def test_other_strategies_are_refused(strategy):
    with pytest.raises(UserError, match=r"Use trainer\.strategy=auto"):
        trainer_of(f"trainer.strategy={strategy}")


def test_another_trainer_is_refused():
    with pytest.raises(UserError, match=r"got mine\.Trainer\. Leave it out"):
        trainer_of("trainer._target_=mine.Trainer")


def test_an_unknown_argument_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"trainer\.device cannot be set.*Did you mean devices"):
        trainer_of("+trainer.device=2")


@pytest.fixture
def torch_flags():
    """Restore what Trainers set for the process."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.benchmark = before[1]


@pytest.mark.usefixtures("torch_flags")
def test_the_other_arguments_reach_the_trainer():
    given = ["devices=2", "num_nodes=3", "precision=bf16-mixed", "deterministic=true", "benchmark=false"]
    trainer = trainer_of(*(f"trainer.{one}" for one in given), "trainer.strategy=ddp_find_unused_parameters_true")
    assert (trainer.num_devices, trainer.num_nodes, trainer.precision) == (2, 3, "bf16-mixed")
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert trainer.strategy._ddp_kwargs == {"find_unused_parameters": True}


def test_nothing_but_the_length_ends_a_training():
    trainer = trainer_of()
    assert (trainer.max_epochs, trainer.max_steps, trainer.limit_train_batches) == (-1, -1, 1.0)

"""Builds the objects that the parts of a config describe: data, model, trainer."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from torch.utils.tensorboard import SummaryWriter

from ganrun.config import user_modules
from ganrun.config.hardware import Hardware
from ganrun.config.optimizers import check_optimizers, optimizer_settings
from ganrun.config.trainer_arguments import HONOURED
from ganrun.data.module import DataModule
from ganrun.errors import UserError, did_you_mean
from ganrun.models.base import Adversarial
from ganrun.models.ema import ExponentialMovingAverage
from ganrun.models.steps.accumulation import Accumulation


def build_data(cfg: DictConfig) -> DataModule:
    """Return the data of a config. Sets cfg.data.classes to the number that the data has, if it is null."""
    data = instantiate_optional(cfg.data, batch_size=cfg.get("batch_size", 1) * cfg.get("accumulate", 1), seed=cfg.seed)
    if cfg.data.get("classes", 0) is None:
        cfg.data.classes = data.count_classes()
    return data


def build_model(cfg: DictConfig, data: DataModule) -> Adversarial:
    """Return the model of a config, its weights initialized from the config's seed."""
    torch.manual_seed(cfg.seed)
    make_model = instantiate_optional(cfg.model, _partial_=True)
    base = {
        "optimizers": {
            name: instantiate_optional(optimizer_settings(cfg, special), _convert_="all")
            for name, special in cfg.optimizers.items()
        },
        "schedule": instantiate_optional(cfg.schedule),
        "average": ExponentialMovingAverage(**cfg.ema) if cfg.ema.half_life_kimg else None,
        "clip": cfg.clip,
        "channels_last": cfg.channels_last,
        "seed": cfg.seed,
    }
    with quote_settings_on_error(cfg, "model"):
        model = make_model(**base)
    if cfg.get("accumulate", 1) > 1:
        model.accumulation = Accumulation(cfg.accumulate)
    init = instantiate_optional(cfg.init)
    for network in model.children() if init else ():
        init(network)
    with quote_settings_on_error(cfg, "optimizer", "optimizers"):
        check_optimizers(model.configure_optimizers())
    return use_channels_last(model) if cfg.channels_last else model


def use_channels_last(model: Adversarial) -> Adversarial:
    """Lay the weights of images out in memory as channels_last; those of volumes, with 5 axes, cannot be."""
    return model._apply(lambda w: w.to(memory_format=torch.channels_last) if w.ndim == 4 else w)


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """Return the callbacks of a config in its order, without those that are null."""
    callbacks = []
    for name, node in cfg.get("callbacks", {}).items():
        callback = instantiate_optional(node) if OmegaConf.is_dict(node) else node
        if node is not None and not isinstance(callback, pl.Callback):
            raise UserError(
                f"callbacks.{name} must be a Lightning Callback or null, got {node}. "
                f"Name its class: callbacks.{name}._target_=MODULE.CLASS"
            )
        callbacks += [] if node is None else [callback]
    return callbacks


def build_trainer(cfg: DictConfig, hardware: Hardware, **arguments) -> pl.Trainer:
    """Return Lightning's Trainer of a config, with what ganrun does itself switched off."""
    given = cast("dict[str, Any]", OmegaConf.to_container(cfg.trainer, resolve=True))
    settings = {name: value for name, value in given.items() if name in HONOURED}
    settings["precision"] = hardware.precision
    if settings["strategy"] == "auto" and hardware.is_parallel:
        settings["strategy"] = "ddp_find_unused_parameters_true"  # a player's step leaves the others' weights unused
    if not logger_nodes(cfg):
        arguments["logger"] = False
    if hardware.uses_cuda:
        torch.set_float32_matmul_precision("high")  # TF32, which cuDNN's convolutions use by default
    with quote_settings_on_error(cfg, "trainer"):
        return pl.Trainer(
            **settings,
            **arguments,
            max_epochs=-1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )


def logger_nodes(cfg: DictConfig) -> dict[str, DictConfig]:
    """Return the loggers of a config by their keys, without logger=none: {"logger": ..., "more_loggers.csv": ...}."""
    more = {f"more_loggers.{name}": node for name, node in (cfg.get("more_loggers") or {}).items()}
    return {key: node for key, node in {"logger": cfg.logger, **more}.items() if node.get("_target_") is not None}


def check_logger_arguments(key: str, node: DictConfig) -> None:
    """Raise UserError for an argument that the class of the logger does not take; it would fail during the training."""
    parameters = dict(inspect.signature(get_class(node._target_)).parameters)
    if node._target_.endswith(".TensorBoardLogger"):  # passes on what it does not know
        parameters = {**parameters, **inspect.signature(SummaryWriter).parameters}
        del parameters["kwargs"]
    names = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    for name in (str(key) for key in node if not str(key).startswith("_")):
        if name not in names and len(names) == len(parameters):
            raise UserError(f"{key}.{name}: {node._target_} has no such argument.{did_you_mean(name, names)}")


def instantiate_optional(node: DictConfig | None, **arguments) -> Any:
    """Return the object that a config node describes; None if it has no _target_.

    Raises UserError if the class does not take the node's settings.
    """
    if node is None or node.get("_target_") is None:
        return None
    try:
        return instantiate(node, **arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        first, *more = str(error.__cause__ or error).splitlines()
        reason = f"{first} {more[0]}" if first.endswith(":") and more else first  # Error loading 'x.Y': the error
        if "unexpected keyword argument 'root'" in reason:
            raise UserError(
                f"data={node.get('name')} reads no files of yours, so data.root has no effect. For your own images: "
                "data=folder data.root=FOLDER"
            ) from error
        shadowed = user_modules.explain_shadowed(node._target_, reason)
        raise UserError(f"{node._target_} cannot be built from the config: {reason}{shadowed}") from error


@contextmanager
def quote_settings_on_error(cfg: DictConfig, *groups: str) -> Iterator[None]:
    """Turn the error of a constructor into a UserError that quotes the settings of the groups and the reason."""
    try:
        yield
    except (
        TypeError,
        ValueError,
        RuntimeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        ImportError,
        MisconfigurationException,
    ) as error:
        nodes = {group: cast("dict[str, Any]", OmegaConf.to_container(cfg[group], resolve=True)) for group in groups}
        settings = [
            f"{group}.{key}={value}"
            for group, node in nodes.items()
            for key, value in node.items()
            if key != "_target_"
        ]
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        advice = f". Leave it out: '~{groups[0]}.{unknown[1]}'" if unknown else ""
        raise UserError(f"{' '.join(settings)} cannot be built: {str(error).splitlines()[0]}{advice}") from error

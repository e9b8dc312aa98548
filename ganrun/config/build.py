"""From a config to the objects of a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ganrun.config import schema, trust
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.models.base import Adversarial
from ganrun.models.ema import ExponentialMovingAverage

log = logging.getLogger(__name__)


def build_data(cfg: DictConfig) -> DataModule:
    """The data of a config; counts its classes where the config leaves that to the data."""
    data = instantiate_optional(cfg.data, batch_size=cfg.get("batch_size", 1), seed=cfg.seed)
    if cfg.data.get("classes", 0) is None:
        cfg.data.classes = data.count_classes()
    return data


def build_model(cfg: DictConfig, data: DataModule) -> Adversarial:
    """The model of a config, its first weights drawn from the config's seed."""
    torch.manual_seed(cfg.seed)
    make = instantiate_optional(cfg.model, _partial_=True)
    base = {
        "optimizers": {name: _build_optimizer(cfg, special) for name, special in cfg.optimizers.items()},
        "schedule": instantiate_optional(cfg.schedule),
        "average": ExponentialMovingAverage(**cfg.ema) if cfg.ema.half_life_kimg else None,
        "clip": cfg.clip,
        "channels_last": cfg.channels_last,
        "seed": cfg.seed,
    }
    with as_user_error(format_settings("model", cfg.model)):
        model = make(**base)
    init = instantiate_optional(cfg.init)
    for network in model.children() if init else ():
        init(network)
    with as_user_error(
        f"{format_settings('optimizer', cfg.optimizer)} {format_settings('optimizers', cfg.optimizers)}"
    ):
        model.configure_optimizers()
    return model.to(memory_format=model.layout) if cfg.channels_last else model


def build_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The callbacks of a config in its order, without those that are null."""
    callbacks = {name: node for name, node in cfg.get("callbacks", {}).items() if node is not None}
    for name, node in callbacks.items():
        built = instantiate_optional(node) if OmegaConf.is_dict(node) else node
        if not isinstance(built, pl.Callback):
            raise UserError(
                f"callbacks.{name} must be a Lightning Callback or null, got {node}. "
                f"Name its class: callbacks.{name}._target_=MODULE.CLASS"
            )
        callbacks[name] = built
    return [*callbacks.values()]


@contextmanager
def as_user_error(settings: str) -> Iterator[None]:
    """Turns what a constructor says of settings that it does not take into a UserError that quotes both."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        raise UserError(f"{settings} cannot be built: {str(error).splitlines()[0]}") from error


def format_settings(group: str, node: DictConfig) -> str:
    """The settings of a config group as on the command line: trainer.precision=auto trainer.devices=1."""
    settings = OmegaConf.to_container(node, resolve=True)
    return " ".join(f"{group}.{key}={value}" for key, value in settings.items() if key != "_target_")


def build_trainer(cfg: DictConfig, **arguments) -> pl.Trainer:
    """Lightning's Trainer of a config, with what ganrun does itself switched off."""
    schema.check_hardware(cfg.trainer)
    settings = OmegaConf.to_container(cfg.trainer, resolve=True)
    for name in ("_target_", "batches_per_step", "compile"):  # the data module's, and a callback's
        settings.pop(name, None)
    settings["precision"] = resolve_precision(cfg)
    if settings["strategy"] == "auto" and uses_several_devices(cfg.trainer):
        settings["strategy"] = "ddp_find_unused_parameters_true"  # each player's turn leaves the others' weights unused
    if cfg.logger.get("_target_") is None:
        arguments["logger"] = False
    if uses_cuda(cfg.trainer):
        torch.set_float32_matmul_precision("high")  # TF32, as cuDNN's convolutions have it by themselves
    with as_user_error(format_settings("trainer", cfg.trainer)):
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


def instantiate_optional(node: DictConfig | None, **arguments) -> Any:
    """The object that a config node describes, None where it describes none; a misfit of its keys is a UserError."""
    if node is None or node.get("_target_") is None:
        return None
    try:
        return instantiate(node, **arguments)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"{node._target_} cannot be built from the config: {reason}") from error


def _build_optimizer(cfg: DictConfig, special: DictConfig) -> Any:
    settings = OmegaConf.merge(cfg.optimizer, special)
    if cfg.trainer.get("precision") == "16-mixed" and "fused" in settings:
        settings.fused = False  # a fused step unscales its own gradients, after they would be clipped
    return instantiate_optional(settings)


def resolve_precision(cfg: DictConfig) -> str:
    """Lightning's word for the precision of a run: bfloat16 where the GPU has it and the data are no points."""
    if cfg.trainer.precision != "auto":
        return cfg.trainer.precision
    if "point" in cfg.data.gives or not uses_cuda(
        cfg.trainer
    ):  # 8 bits would blur a point by a part of its mode's width
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def uses_cuda(trainer: DictConfig) -> bool:
    """Whether a trainer of these settings computes on a CUDA GPU."""
    return trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def uses_several_devices(trainer: DictConfig) -> bool:
    """Whether a trainer of these settings works with more than one device."""
    devices = trainer.devices
    if devices in ("auto", -1, "-1"):
        devices = max(torch.cuda.device_count(), 1) if trainer.accelerator in ("auto", "gpu", "cuda") else 1
    count = len(devices) if OmegaConf.is_list(devices) else int(devices)
    return count > 1 or trainer.num_nodes > 1


def resolve_compile(cfg: DictConfig) -> dict[str, bool]:
    """Whether the players' turns become CUDA graphs, and whether torch.compile takes the networks.

    auto leaves classes alone that are not ganrun's own: a number of Python's may change in them unseen by a replay.
    """
    wish = cfg.trainer.get("compile", "off")  # a run of an older ganrun has none
    is_wished = wish != "off" and not why_no_cuda_graphs(cfg)
    return {"graphs": is_wished and not (wish == "auto" and trust.needs_trust(cfg)), "networks": wish == "full"}


def why_no_cuda_graphs(cfg: DictConfig) -> str:
    """Why the players' turns cannot be CUDA graphs; nothing where they can."""
    reasons = {
        "no CUDA GPU is used": not uses_cuda(cfg.trainer),
        "several devices have to meet within a turn": uses_several_devices(cfg.trainer),
        "guard=skip looks at every turn": cfg.guard == "skip",
        "trainer.precision=16-mixed looks at every turn": resolve_precision(cfg) == "16-mixed",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")

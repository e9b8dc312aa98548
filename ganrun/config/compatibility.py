"""Checks that data, model, network and scores of a config fit together; each refusal names the choices that do."""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from ganrun.config import build, memory, schema, user_modules
from ganrun.config.docs import NETWORK_PARTS
from ganrun.config.trial import find_misfit
from ganrun.data.batches import share_batch
from ganrun.data.keys import LABELS, Key, describe_keys, kinds_needed, kinds_of, with_index
from ganrun.data.module import DataModule
from ganrun.errors import UserError, did_you_mean
from ganrun.models.base import Adversarial
from ganrun.networks.eval_mode import has_batch_norm
from ganrun.networks.sizes import UnfitSizeError

log = logging.getLogger(__name__)
# the choices that stay with another one in a group
KEPT_CHOICES = {"data": ["model"], "model": ["data"], "network": ["model", "data", *NETWORK_PARTS]}
KEPT_CHOICES |= {part: ["model", "data", "network", *NETWORK_PARTS] for part in NETWORK_PARTS}


def check_complete(cfg: DictConfig) -> None:
    """Raise UserError if a group of settings is null, or nothing ends the training."""
    nothing = {"schedule": "constant", "init": "default", "metrics": "none", "logger": "none"}
    used = [group for group in ("loss", "regularizer") if f"${{{group}}}" in raw_values(cfg.get("model"))]
    for group in ("model", "network", "optimizer", "data", "trainer", *used, *nothing):
        if cfg.get(group) is None:
            choice = nothing.get(group, "NAME")
            raise UserError(f"{group} is missing. Use {group}={choice}; all choices: ganrun list {group}")
    if cfg.kimg is None and cfg.minutes is None:
        raise UserError("kimg=null needs a time limit, or the training never ends. Add for example minutes=60.")


def raw_values(node: DictConfig | None) -> list[Any]:
    """Return the values of a node, with its interpolations as they are written."""
    return [] if node is None else [node._get_node(key)._value() for key in node]  # pyright: ignore


def check_batch_keys(cfg: DictConfig, data: DataModule) -> None:
    """Raise UserError if the model needs a batch key that the data does not give, or gives as another kind."""
    needed = kinds_needed(find_class(cfg.model).needs)
    if gives_needed(data.offered, needed):
        return
    names = chosen_options()
    fitting_data = working_choices(cfg, "data", lambda other: gives_needed(possible_keys(other), needed))
    fitting_models = working_choices(
        cfg,
        "model",
        lambda other: (
            gives_needed(data.offered, kinds_needed(find_class(other.model).needs)) and is_playable(other, data)
        ),
    )
    reason = data.source.explain_missing_labels() if set(LABELS) & {*needed} - {*data.keys} else ""
    raise UserError(
        f"model={names['model']} needs {describe_keys(needed)}, "
        f"but data={names['data']} gives {describe_keys(kinds_of(data.keys))}. {f'{reason} ' if reason else ''}"
        f"Data for model={names['model']}: {', '.join(fitting_data)}. "
        f"Models for data={names['data']}: {', '.join(fitting_models) or 'none'}."
    )


def gives_needed(keys: Mapping[str, Key], needed: Mapping[str, str | None]) -> bool:
    """Return whether the keys of a data set include those that a model needs, of the kinds that it needs."""
    return all(name in keys and kind in (None, keys[name].kind) for name, kind in needed.items())


def possible_keys(cfg: DictConfig) -> dict[str, Key]:
    """Return the keys that the data of a config can give, whatever its files hold."""
    return with_index(build.instantiate_optional(cfg.data, batch_size=1, seed=0).possible_keys)


def find_class(node: DictConfig) -> Any:
    """Return the class that a config node names. Raises UserError if there is none."""
    try:
        return get_class(node._target_)
    except (ImportError, AttributeError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        module_name, _, class_name = node._target_.rpartition(".")
        module = sys.modules.get(module_name)
        if module is not None:
            known = [name for name, value in vars(module).items() if isinstance(value, type)]
            reason = f"{module_name} has no class {class_name}.{did_you_mean(class_name, known)}"
        raise UserError(
            f"{node._target_} cannot be imported ({reason}). Write a class as package.module.Class; "
            "ganrun looks for your own modules in the folder where you start it."
            f"{user_modules.explain_shadowed(node._target_, reason)}"
        ) from error


def check_network_settings(cfg: DictConfig, data: DataModule) -> None:
    """Raise UserError if the network refers to a setting that the model lacks, or has another number of classes."""
    if setting := missing_setting(cfg.network):
        refuse_network(cfg, data, f"it needs the setting {setting}, which this model does not have.")
    for key, value, owner, _ in schema.iterate_settings(cfg.network, "network."):
        if key.endswith(".classes") and owner.startswith("ganrun.") and value != cfg.model.get("classes"):
            raise UserError(f"{key} must be model.classes={cfg.model.get('classes')}, got {value}. Leave it out.")


def drop_unused_networks(cfg: DictConfig) -> None:
    """Remove the networks of the network group that the model does not refer to, unless the command sets them.

    They may name settings that the model lacks, and a run does not depend on them: one that began before there was an
    encoder among the networks goes on.
    """
    if not (OmegaConf.is_dict(cfg.get("model")) and OmegaConf.is_dict(cfg.get("network"))):  # refused later
        return
    used = OmegaConf.to_yaml(cfg.model)
    if "${network" not in used:
        cfg.network = {}
        return
    used += OmegaConf.to_yaml(cfg.network) + " ".join(
        HydraConfig.get().overrides.task if HydraConfig.initialized() else ()
    )
    with open_dict(cfg.network):
        for name, node in [*cfg.network.items_ex(resolve=False)]:
            is_network = OmegaConf.is_dict(node) and "_target_" in node
            if is_network and "${network}" not in used and not re.search(rf"\bnetwork\.{re.escape(str(name))}\b", used):
                del cfg.network[name]


def check_model_settings(cfg: DictConfig) -> None:
    """Raise UserError if the model refers to a setting that the chosen data or network lacks."""
    setting = missing_setting(cfg.model) or ""
    group = setting.partition(".")[0]
    if group not in ("data", "network"):  # the network's own are checked next
        return
    names, fitting = chosen_options(), working_choices(cfg, group, lambda other: missing_setting(other.model) is None)
    raise UserError(
        f"model={names['model']} needs the setting {setting}, which {group}={names[group]} does not have. Choices that "
        f"have it: {', '.join(f'{group}={name}' for name in fitting) or 'none'}."
    )


def missing_setting(node: DictConfig) -> str | None:
    """Return the key that an interpolation in the node names and that the config lacks; None if there is none."""
    try:
        OmegaConf.to_container(node, resolve=True)
    except InterpolationResolutionError as error:
        missing = re.search(r"\$\{(.*?)\}|'([\w.]+)' not found", str(error))
        return next((part for part in missing.groups() if part), "more") if missing else "more"
    return None


def build_fitting_model(cfg: DictConfig, data: DataModule) -> Adversarial:
    """Return the model of a config. Raises UserError, with the networks that fit, if its networks do not."""
    try:
        with memory.within_memory(cfg):
            model = build.build_model(cfg, data)
    except UnfitSizeError as error:
        refuse_network(cfg, data, str(error))
    if misfit := find_misfit(model, data):
        names = chosen_options()
        if misfit.is_own:
            raise UserError(f"model={names['model']} cannot train on data={names['data']}: {misfit.reason}")
        refuse_network(cfg, data, misfit.reason)
    return model


def refuse_network(cfg: DictConfig, data: DataModule, reason: str) -> NoReturn:
    """Raise UserError with the reason and the networks that fit model and data, or the parts of networks that do."""
    names = chosen_options()
    parts = [part for part in NETWORK_PARTS if names.get(part)]
    advice = []
    for group in [*parts, "network"]:
        if group != "network" or not advice:  # each choice that is tried takes a fifth of a second
            found = working_choices(cfg, group, lambda other: is_playable(other, data))
            advice += [f"{group.capitalize()}s that fit: {', '.join(found)}."] if found else []
    chosen = " ".join(f"{group}={names[group]}" for group in ["network", *reversed(parts)])
    raise UserError(
        f"{chosen} does not fit model={names['model']} on data={names['data']}: {reason} "
        f"{' '.join(advice) or 'Networks that fit: none.'}"
    )


def is_playable(cfg: DictConfig, data: DataModule) -> bool:
    """Return whether the model of this config can be built and trains on the data.

    Its weights take no memory: at large sizes, those of a fully connected network would take all there is. And what
    fails there is not tried again with actual values, which takes long at such sizes.
    """
    try:
        with memory.within_memory(cfg), torch.device("meta"):
            model = build.build_model(cfg, data)
    except UserError:
        return False
    return find_misfit(model, data, is_thorough=False) is None


def check_loaded_data(cfg: DictConfig, data: DataModule) -> None:
    """Raise UserError if the model is told another number of classes than the data has; warn if batches repeat images.

    A batch does if it is larger than the training set.
    """
    model_classes = cfg.model.get("classes")
    if model_classes is not None and model_classes != len(data.classes):
        raise UserError(
            f"model.classes={model_classes} and data.classes={cfg.data.classes}, but data={data.name} has "
            f"{len(data.classes)} classes. Leave both out."
        )
    has_labels = any(key.kind == "label" for key in data.keys.values())
    if has_labels and cfg.data.classes != len(data.classes):
        raise UserError(f"data.classes={cfg.data.classes}, but data={data.name} has {len(data.classes)}. Leave it out.")
    if data.batch_size > data.train_count:
        message = "batch_size=%d, but data=%s has %d training examples: a batch repeats some."
        log.warning(message, data.batch_size, data.name, data.train_count)


def check_accumulation(cfg: DictConfig, model: Adversarial, device_count: int) -> None:
    """Raise UserError if the devices cannot share a batch; warn if parts of a batch give other gradients than all."""
    if share_batch(cfg.batch_size, device_count) % model.batch_divisor:
        refuse_batch_size(cfg.batch_size, model.batch_divisor, device_count)
    if model.accumulation and has_batch_norm(model):
        joint = cfg.batch_size * cfg.accumulate
        log.warning(
            "accumulate=%d: BatchNorm takes its statistics from each batch of %d examples, not from the %d of a step, "
            "and so does a minibatch layer. This is not quite batch_size=%d. Networks without them give the same: "
            "network=mlp, for example.",
            *(cfg.accumulate, cfg.batch_size, joint, joint),
        )


def refuse_batch_size(batch_size: int, divisor: int, device_count: int) -> NoReturn:
    """Raise UserError for a batch whose share of a device is no multiple of the model's divisor, with one that is."""
    whole = divisor * device_count
    reason = f"which judges {divisor} examples at once" + (f", on {device_count} devices" if device_count > 1 else "")
    raise UserError(
        f"batch_size must be a multiple of {whole} for model={chosen_options()['model']}, {reason}, got {batch_size}. "
        f"Set for example batch_size={-(-batch_size // whole) * whole}."
    )


def check_monitor(suite: Any, scores: list[str]) -> None:
    """Raise UserError if the score that names the best checkpoint is not among the scores of the suite."""
    if suite.monitor not in scores:
        hint = did_you_mean(str(suite.monitor), scores)
        raise UserError(f"metrics.monitor={suite.monitor} is not a score of this run.{hint}")


def working_choices(cfg: DictConfig, group: str, condition: Callable[[DictConfig], bool]) -> list[str]:
    """Return the choices of a config group with which the config of this run meets a condition."""
    names = []
    for name in GlobalHydra.instance().config_loader().get_group_options(group):
        with suppress(Exception):  # a choice that cannot be composed or built does not work
            other = compose_with(group, name)
            if group != "data":
                other.data = cfg.data
            names += [name] if condition(other) else []
    return names


def compose_with(group: str, name: str) -> DictConfig:
    """Return the config of this run with another choice in a group; without settings that this choice does not have."""
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith(f"{group}=")]
    config_name = HydraConfig.get().job.config_name
    if config_name != "train":  # a run that goes on: the command has only what changes
        choices = chosen_options()
        kept = [kept for kept in KEPT_CHOICES[group] if kept != group and choices.get(kept)]
        overrides = [f"{group}={choices[group]}" for group in kept]
        return compose("train", [*overrides, f"{group}={name}"])
    try:
        return compose(config_name, [*overrides, f"{group}={name}"])
    except ConfigCompositionException:
        node = f"network.{group}." if group in NETWORK_PARTS else f"{group}."
        return compose(config_name, [*(o for o in overrides if not o.startswith(node)), f"{group}={name}"])


def chosen_options() -> dict[str, str]:
    """Return the choice in each config group of this run."""
    return HydraConfig.get().runtime.choices

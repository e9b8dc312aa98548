"""What is refused before a run starts, each with what was found, what is allowed and the command that mends it."""

import copy
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from ganrun.config import build
from ganrun.errors import UserError, did_you_mean

log = logging.getLogger(__name__)


def check_batch_keys(cfg: DictConfig, data) -> None:
    """Refuses a model that needs what the data does not give, naming the pairs that work."""
    model_needs = find_class(cfg.model).needs
    lacking = [key for key in model_needs if key not in data.gives]
    if lacking:
        names = chosen_options()
        works_with = working_choices(cfg, "data", lambda other: set(model_needs) <= set(other.data.gives))
        also = working_choices(
            cfg,
            "model",
            lambda other: set(find_class(other.model).needs) <= set(data.gives) and is_playable(other, data),
        )
        raise UserError(
            f"model={names['model']} needs {describe_batch_keys(model_needs)}, "
            f"and data={names['data']} gives {describe_batch_keys(data.gives)}. "
            f"Data for model={names['model']}: {', '.join(works_with)}. "
            f"Models for data={names['data']}: {', '.join(also) or 'none'}."
        )


def find_class(node: DictConfig) -> type:
    """The class that a config node names. Raises UserError where there is none."""
    try:
        return get_class(node._target_)
    except (ImportError, AttributeError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        module = sys.modules.get(node._target_.rpartition(".")[0])
        if module is not None:
            known = [name for name, thing in vars(module).items() if isinstance(thing, type)]
            reason = f"{module.__name__} has none of that name.{did_you_mean(node._target_.rpartition('.')[2], known)}"
        raise UserError(
            f"{node._target_} cannot be found ({reason}). Give a class as package.module.Class; "
            "a module of your own lies in the folder that you start ganrun in."
        ) from error


def check_network_settings(cfg: DictConfig, data) -> None:
    """Refuses networks that ask for settings that the model does not have."""
    try:
        OmegaConf.to_container(cfg.network, resolve=True)
    except InterpolationResolutionError as error:
        lacking = re.search(r"\$\{(.*?)\}|'([\w.]+)' not found", str(error))
        asked = next((part for part in lacking.groups() if part), "more") if lacking else "more"
        refuse_network(cfg, data, f"it asks for {asked}, which this model does not have.")


def check_classes(cfg: DictConfig, data) -> None:
    """Refuses a model that knows fewer classes than the data has."""
    known = cfg.model.get("classes")
    if known is not None and known != len(data.classes):
        raise UserError(
            f"model.classes={known} and data.classes={cfg.data.classes}, and data={data.name} has {len(data.classes)} "
            "classes. Leave both out."
        )


def warn_of_repeats(cfg: DictConfig, data) -> None:
    """Warns of a batch that is larger than the data: each example is then in it more than once."""
    count = data.train_count
    if cfg.batch_size > count:
        log.warning(
            "batch_size=%d, and data=%s has %d training examples: a batch repeats some.",
            cfg.batch_size,
            data.name,
            count,
        )


def check_compile(cfg: DictConfig) -> None:
    """Refuses CUDA graphs that are asked for where there can be none, and torch.compile without a compiler."""
    wish, reason = cfg.trainer.get("compile"), build.why_no_cuda_graphs(cfg)
    if wish == "graphs" and reason:
        raise UserError(f"trainer.compile=graphs cannot be had: {reason}. Give trainer.compile=auto.")
    compiler = os.environ.get("CXX", "g++")
    if wish == "full" and not build.uses_cuda(cfg.trainer) and not shutil.which(compiler):
        raise UserError(
            f"trainer.compile=full needs a C++ compiler, and there is no {compiler}. "
            "Install one, name yours in the environment variable CXX, or give trainer.compile=auto."
        )


def check_monitor(cfg: DictConfig, suite, names: list[str]) -> None:
    """Refuses to name the best checkpoint by a score that the suite does not give."""
    if suite.monitor not in names:
        raise UserError(f"metrics.monitor={suite.monitor} is not scored here.{did_you_mean(str(suite.monitor), names)}")


def check_losses(cfg: DictConfig, model, data) -> None:
    """Refuses players that cannot play on this data, by letting each have its loss of two examples."""
    reason = find_misfit(model, data)
    if reason:
        refuse_network(cfg, data, reason)


def refuse_network(cfg: DictConfig, data, reason: str) -> None:
    names = chosen_options()
    fitting = working_choices(cfg, "network", lambda other: is_playable(other, data))
    raise UserError(
        f"network={names['network']} does not fit model={names['model']} on data={names['data']}: {reason} "
        f"Networks that do: {', '.join(fitting) or 'none'}."
    )


def find_misfit(model, data) -> str | None:
    """Why the players' losses cannot be computed on this data, or None; on copies without memory, so at no cost."""
    for device in ("meta", "cpu"):  # what fails on meta may be code that needs numbers: that has a second try
        try:
            trial = copy.deepcopy(model).to(device)
            for player in trial.players():
                player.loss(example_batch(data, device))
            return None
        except Exception as error:
            reason = f"{str(error).splitlines()[0]}."
            if "positional argument" in reason:
                reason = "its players take other inputs than this model gives them (pictures, noise, classes)."
    return reason


def example_batch(data, device: str) -> dict[str, torch.Tensor]:
    """A batch of two that has the keys and shapes of the data's."""
    pictures = {key: torch.zeros(2, *data.shape, device=device) for key in data.gives if key in ("x", "a", "b")}
    return pictures | ({"y": torch.zeros(2, dtype=torch.long, device=device)} if "y" in data.gives else {})


def is_playable(cfg: DictConfig, data) -> bool:
    try:
        return find_misfit(build.build_model(cfg, data), data) is None
    except UserError:
        return False


def working_choices(cfg: DictConfig, group: str, condition: Callable[[DictConfig], bool]) -> list[str]:
    """The choices of a config group with which this run's config meets a condition."""
    return [name for name in group_options(group) if _composes_to(cfg, group, name, condition)]


def _composes_to(cfg: DictConfig, group: str, name: str, condition: Callable[[DictConfig], bool]) -> bool:
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith(f"{group}=")]
    try:
        other = compose(HydraConfig.get().job.config_name, [*overrides, f"{group}={name}"])
        if group != "data":
            other.data.classes = cfg.data.classes
        return condition(other)
    except Exception:
        return False


def group_options(group: str) -> list[str]:
    """The choices of a config group, a user's own among them."""
    return GlobalHydra.instance().config_loader().get_group_options(group)


def chosen_options() -> dict[str, str]:
    """The choice taken in each config group of this run."""
    return HydraConfig.get().runtime.choices


def describe_batch_keys(keys: Iterable[str]) -> str:
    """Batch keys in words."""
    said = {
        "x": "examples (x)",
        "y": "labels (y)",
        "picture": "as pictures",
        "point": "as points",
        "a": "pictures of one domain (a)",
        "b": "pictures of another (b)",
    }
    return ", ".join(said.get(key, key) for key in keys)

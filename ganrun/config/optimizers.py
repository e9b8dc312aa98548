"""Settings of optimizers in the form that torch and checkpoints take, and which optimizers cannot train a GAN."""

import ast
import inspect
import re
from collections.abc import Sequence
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun.errors import UserError

TUPLE = re.compile(r"\([\w\s.,+-]*\)")  # as in Python, which YAML and the command line read as a string


def optimizer_settings(cfg: DictConfig, special: DictConfig) -> DictConfig:
    """Return the settings of one player's optimizer. special: those of this player alone."""
    settings = cast("DictConfig", OmegaConf.merge(cfg.optimizer, special))
    if cfg.trainer.get("precision") == "16-mixed" and "fused" in settings:
        settings.fused = False  # a fused optimizer unscales its own gradients, which is too late for clipping
    for name, value in settings.items():
        if isinstance(value, str) and TUPLE.fullmatch(value):
            settings[name] = parse_tuple(value)
    if OmegaConf.is_list(settings.get("betas")):  # torch refuses betas=[0,0.9], of different types
        settings.betas = [float(beta) if isinstance(beta, int) else beta for beta in settings.betas]
    return settings


def parse_tuple(text: str) -> Any:
    """Return the list of the numbers in "(0.5, 0.9)"; the text itself if it is not a tuple."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return list(value) if isinstance(value, tuple) else text


def check_optimizers(optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Raise UserError for optimizers that cannot train a GAN: the message names one that can."""
    for optimizer in optimizers:
        name, closure = type(optimizer).__name__, inspect.signature(type(optimizer).step).parameters.get("closure")
        if any(group.get("differentiable") for group in optimizer.param_groups):
            raise UserError("optimizer.differentiable=true is not possible: the steps are not recorded. Leave it out.")
        reason = ""
        if isinstance(optimizer, torch.optim.SparseAdam):
            reason = "needs sparse gradients, and those of the networks are dense"
        elif closure and closure.default is inspect.Parameter.empty:
            reason = "evaluates a loss several times per step, but a player's loss depends on its opponent and on noise"
        if reason:
            raise UserError(f"The optimizer {name} {reason}. Use another, such as optimizer=adam.")

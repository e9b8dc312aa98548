"""Loads the weights of a checkpoint that fit networks which are not quite those of its training."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganrun.errors import UserError, ganrun_command

log = logging.getLogger(__name__)
SHOWN = 5  # weights named in a message


@torch.no_grad()
def load_fitting_weights(model: nn.Module, state: Mapping[str, Any]) -> dict[str, str]:
    """Load what a state dict holds under the same name and in the same shape; return what does not fit.

    Returns {name: reason} in the order of the model, then of the state dict; empty if all was loaded. What does not
    fit keeps the values that it has in the model. Averaged networks are part of the model only after
    `model.configure_model()`. Extra state, such as CycleGAN's pool of generated images, belongs to the data of its
    training and is not loaded.
    """
    own, given = tensors_of(model.state_dict()), tensors_of(state)
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    for name, value in fitting.items():
        own[name].copy_(value)
    return {name: describe_misfit(own.get(name), given.get(name)) for name in {**own, **given} if name not in fitting}


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a state dict, without extra state."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def describe_misfit(own: Tensor | None, given: Tensor | None) -> str:
    """Return why a weight is not loaded. own: the network's.  given: the checkpoint's."""
    if given is None:
        return "not in the checkpoint"
    if own is None:
        return "not in the network"
    return f"{[*given.shape]} in the checkpoint, {[*own.shape]} in the network"


def check_misfits(misfits: Mapping[str, str], path: Path, is_fresh: bool) -> None:
    """Raise UserError for weights that do not fit; log them if they may start fresh."""
    shown = ", ".join(f"{name} ({why})" for name, why in [*misfits.items()][:SHOWN])
    shown += f" and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
    if misfits and not is_fresh:
        raise UserError(
            f"{len(misfits)} weights in {path} do not fit the networks of the config: {shown}. To start these fresh, "
            f"and go on with the others: {ganrun_command(*sys.argv[1:], 'fresh=true')}"
        )
    if misfits:
        log.warning("%d weights do not fit and start fresh: %s", len(misfits), shown)

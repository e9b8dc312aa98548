"""Steps of an optimizer through which a gradient can flow: those that a player would take, taken on copies."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ganrun.errors import UserError

TINY = 1e-30  # of mean squares: the slope of their square root would be infinite at 0


def differentiable_copy(optimizer: torch.optim.Optimizer, copies: Mapping[Tensor, Tensor]) -> Any:
    """Return an optimizer of the copies, [weight: its copy], in the same state, whose steps are recorded by autograd.

    Raises UserError if torch does not have such steps of this optimizer.
    """
    if "differentiable" not in optimizer.defaults:
        raise UserError(f"The steps of {type(optimizer).__name__} cannot be unrolled. Use another, as optimizer=adam.")
    plain = {"differentiable": True, "fused": False, "foreach": False, "capturable": False}
    groups = [
        {**group, **plain, "params": [copies[w] for w in group["params"] if w in copies]}
        for group in optimizer.param_groups
    ]
    copy = cast(Any, type(optimizer))(groups, differentiable=True)
    for w, state in optimizer.state.items():
        copy.state[copies[w]] = {
            name: value.clone().clamp_min(TINY) if "sq" in name else value.clone() for name, value in state.items()
        }
    return copy


class Call(nn.Module):
    """A function that uses a network."""

    def __init__(self, network: nn.Module, function: Callable[[], Any]):
        super().__init__()
        self.network, self.function = network, function

    def forward(self) -> Any:
        return self.function()


def call_with_weights(network: nn.Module, weights: Mapping[str, Tensor], function: Callable[[], Any]) -> Any:
    """Return function(), in which the network has these weights in place of its own."""
    named = {f"network.{name}": w for name, w in weights.items()}
    return torch.func.functional_call(Call(network, function), named, ())

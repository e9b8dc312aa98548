"""Networks for a while in another mode, and of several batches at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def forward_batches(network: nn.Module, *batches: Tensor) -> list[Tensor]:
    """network(batch) for each batch [B, ...], in one pass where no BatchNorm would mix their statistics."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return [network(batch) for batch in batches]
    return [*network(torch.cat(batches)).split([len(batch) for batch in batches])]


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[nn.Module]:
    """The network in evaluation mode and without gradients; afterwards each module is in the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    compiled, network._compiled_call_impl = network._compiled_call_impl, None  # would be compiled again for other sizes
    network.eval()
    try:
        with torch.no_grad():
            yield network
    finally:
        network._compiled_call_impl = compiled
        for module, training in modes:
            module.training = training

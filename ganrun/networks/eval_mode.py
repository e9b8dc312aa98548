"""Ways to call a network: in evaluation mode, on several batches at once, or in the precision of its weights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from ganrun.networks.minibatch import MinibatchLayer


def forward_batches(network: nn.Module, *batches: Tensor) -> list[Tensor]:
    """Return network(batch) for each batch [B, ...]; in one pass, if none of its layers would mix them."""
    if has_batch_norm(network):
        return [network(batch) for batch in batches]
    return [*network(torch.cat(batches)).split([len(batch) for batch in batches])]


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether the network computes something over its batch, with BatchNorm or a minibatch layer."""
    return any(isinstance(module, (nn.modules.batchnorm._BatchNorm, MinibatchLayer)) for module in network.modules())


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[nn.Module]:
    """Use the network in evaluation mode without gradients; afterwards restore the mode of each module."""
    modes = [(module, module.training) for module in network.modules()]
    compiled = network._compiled_call_impl
    network._compiled_call_impl = None  # it would compile again for other batch sizes
    network.eval()
    try:
        with torch.no_grad():
            yield network
    finally:
        network._compiled_call_impl = compiled
        for module, training in modes:
            module.training = training


def outside_autocast(like: Tensor) -> AbstractContextManager:
    """Compute in the precision of the weights, whatever autocast of the device of `like` is on."""
    kind = like.device.type
    is_on = kind != "meta" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()

"""Initialization of a whole network, in place."""

from collections.abc import Callable
from contextlib import suppress
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LAYERS = (
    nn.Linear,
    nn.Bilinear,
    nn.modules.conv._ConvNd,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)
FIRST_PASSES = 15
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # _NormBase: of batches and of instances


def normal_(network: nn.Module, std: float = 0.02) -> None:
    """Weights ~ N(0, std), norm layers' weights ~ N(1, std), biases 0. Radford et al. 2016, section 4 (std .02).

    The paper does not mention norm layers; N(1, std) is from the authors' code and Zhu et al. 2017.
    """
    _fill(network, lambda weight: nn.init.normal_(weight, 0, std))
    for layer in network.modules():
        if isinstance(layer, NORMS) and layer.weight is not None:
            nn.init.normal_(layer.weight, 1, std)


def xavier_(network: nn.Module, gain: float = 1.0) -> None:
    """Weights uniform with variance gain^2 2 / (inputs + outputs), biases 0. Glorot & Bengio 2010, eq. 16."""
    _fill(network, lambda weight: nn.init.xavier_uniform_(weight, gain))


def orthogonal_(network: nn.Module, gain: float = 1.0) -> None:
    """Weights with orthogonal rows or columns, times gain, biases 0. Saxe et al. 2014."""
    _fill(network, lambda weight: nn.init.orthogonal_(weight, gain))


@torch.no_grad()
def _fill(network: nn.Module, fill: Callable[[Tensor], Tensor]) -> None:
    """Fill the weights of torch's layers and set their biases to 0; parameters of other modules keep their values."""
    for layer in network.modules():
        if isinstance(layer, LAYERS):
            for name, weight in [*layer.named_parameters(recurse=False)]:
                if not nn.parameter.is_lazy(weight) and not name.endswith("_g"):
                    nn.init.zeros_(weight) if "bias" in name else fill(weight)
            _fill_parametrized(layer, fill)
            if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.padding_idx is not None:
                layer._fill_padding_idx_with_zero()


def _fill_parametrized(layer: nn.Module, fill: Callable[[Tensor], Tensor]) -> None:
    """Fill weights that are computed from others: spectrally normalized ones and the like, by parametrization or hook.

    The estimates of singular values that torch keeps follow the weights in a few passes in training mode. A weight that
    cannot be set, such as an orthogonal one, stays.
    """
    for name in cast("nn.ModuleDict", layer.parametrizations) if parametrize.is_parametrized(layer) else ():
        value = getattr(layer, name)
        with suppress(RuntimeError, ValueError, NotImplementedError):
            setattr(layer, name, fill(torch.empty_like(value)) if "bias" not in name else torch.zeros_like(value))
        for _ in range(FIRST_PASSES):
            getattr(layer, name)
    for hook in layer._forward_pre_hooks.values():  # of torch.nn.utils.weight_norm and spectral_norm
        length, direction = (layer._parameters.get(f"weight_{part}") for part in "gv")
        if length is not None and direction is not None:
            others = [axis for axis, size in enumerate(length.shape) if size == 1]
            length.copy_(direction.square().sum(others, keepdim=True).sqrt())
        for _ in range(FIRST_PASSES if hasattr(hook, "compute_weight") else 0):
            hook(layer, ())

"""Initialization of a whole network, in place."""

from collections.abc import Callable

from torch import Tensor, nn

LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)


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


def _fill(network: nn.Module, fill: Callable[[Tensor], Tensor]) -> None:
    for layer in network.modules():
        if isinstance(layer, LINEAR):
            fill(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

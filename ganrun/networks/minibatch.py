"""Layers of a discriminator that compare the examples of a batch: fakes without variety give themselves away.

Each appends channels to features: [B, C, ...] -> [B, C + added, ...].
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ganrun.errors import UserError, did_you_mean


class MinibatchLayer(nn.Module):
    """Subclasses set `added`, the number of new channels. shape: of the features of an example, (C, ...)."""

    added: int

    def __init__(self, shape: Sequence[int]):
        super().__init__()


class StandardDeviation(MinibatchLayer):
    """The mean, over all features, of their standard deviations over the batch. Karras et al. 2018, section 3.

    The deviation is that of the whole batch, as in the paper; the authors' code takes groups of four. 1e-8: their code.
    """

    added = 1

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        deviation = (wide.var(0, correction=0) + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat([x, deviation.expand_as(x[:, :1])], dim=1)


class Discrimination(MinibatchLayer):
    """o(x)_b, the closeness of x to all examples of the batch in each of B small spaces. Salimans et al. 2016, 3.2.

    kernels: the paper's B.  dimensions: of each space, its C. Both from the authors' code.
    """

    def __init__(self, shape: Sequence[int], kernels: int = 100, dimensions: int = 5):
        super().__init__(shape)
        self.added, self.dimensions = kernels, dimensions
        self.project = nn.Linear(prod(shape), kernels * dimensions, bias=False)  # the tensor T

    def forward(self, x: Tensor) -> Tensor:
        m = self.project(x.flatten(1)).unflatten(1, (self.dimensions, -1))  # a sum over the last axis is twice as slow
        closeness = (-(m[:, None] - m).abs().sum(2)).exp().sum(1)  # [B, kernels]
        planes = closeness.unflatten(1, (-1, *[1] * (x.ndim - 2))).expand(-1, -1, *x.shape[2:])
        return torch.cat([x, planes.to(x.dtype)], dim=1)


LAYERS = {"standard_deviation": StandardDeviation, "discrimination": Discrimination}


def minibatch_layers(name: str | None, shape: Sequence[int]) -> tuple[list[nn.Module], int]:
    """Return the layer of this name in a list, none for None, and the channels that the features then have.

    shape: of the features of an example, (C, ...).  Raises UserError for an unknown name.
    """
    if name is None:
        return [], shape[0]
    if name not in LAYERS:
        raise UserError(f"Unknown minibatch={name} of a discriminator.{did_you_mean(name, LAYERS)}")
    layer = LAYERS[name](shape)
    return [layer], shape[0] + layer.added

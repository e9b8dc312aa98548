"""Fully connected networks for small images and for points."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ganrun.networks.minibatch import minibatch_layers


class Maxout(nn.Module):
    """Maximum of `pieces` linear maps for each unit: [B, inputs] -> [B, outputs]. Goodfellow et al. 2013."""

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)


class Generator(nn.Module):
    """Latents [B, z_dim] -> images [B, *shape] in [-1, 1], or unbounded points [B, n]; hidden layers have ReLU.

    shape: (C, H, W) of an image or (n,) of a point.  hidden: units of the hidden layers.
    """

    def __init__(self, shape: Sequence[int], z_dim: int, hidden: Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip([z_dim, *hidden], hidden, strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        layers += [nn.Linear(hidden[-1], prod(shape)), nn.Tanh() if len(shape) == 3 else nn.Identity()]
        self.layers = nn.Sequential(*layers)
        self.shape = tuple(shape)

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(1, self.shape)


def hidden_layers(inputs: int, hidden: Sequence[int], pieces: int = 1, dropout: float = 0.0) -> list[nn.Module]:
    """Return linear layers with leaky ReLU, or maxout if `pieces` > 1, after flattening; see Discriminator."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, units in zip([inputs, *hidden], hidden, strict=False):
        layers += [Maxout(before, units, pieces)] if pieces > 1 else [nn.Linear(before, units), nn.LeakyReLU(0.2)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return layers


class Discriminator(nn.Module):
    """Images or points [B, *shape] -> scores [B]; hidden layers have leaky ReLU, or maxout if `pieces` > 1.

    hidden: units of the hidden layers.  dropout: share of activations dropped after each hidden layer in training.
    minibatch: name of a layer of networks/minibatch.py before the last one; None: none.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        pieces: int = 1,
        dropout: float = 0.0,
        minibatch: str | None = None,
    ):
        super().__init__()
        comparison, features = minibatch_layers(minibatch, [hidden[-1]])
        self.layers = nn.Sequential(
            *hidden_layers(prod(shape), hidden, pieces, dropout), *comparison, nn.Linear(features, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze(1)


class JointDiscriminator(nn.Module):
    """Pairs of latents [B, z_dim] and images or points [B, *shape] -> scores [B]; settings as Discriminator's."""

    def __init__(self, shape: Sequence[int], z_dim: int, **settings):
        super().__init__()
        self.net = Discriminator([prod(shape) + z_dim], **settings)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        return self.net(torch.cat([z, x.flatten(1)], dim=1))


class Encoder(nn.Module):
    """Images or points [B, *shape] -> latents [B, z_dim]; hidden layers have leaky ReLU."""

    def __init__(self, shape: Sequence[int], z_dim: int, hidden: Sequence[int]):
        super().__init__()
        self.layers = nn.Sequential(*hidden_layers(prod(shape), hidden), nn.Linear(hidden[-1], z_dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

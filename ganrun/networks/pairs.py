"""Discriminators of pairs of a code and an image."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ganrun.networks.mlp import hidden_layers


class PairDiscriminator(nn.Module):
    """Codes [B, z_dim] and images [B, *shape] -> scores [B]: features of each, joined, then fully connected layers.

    Dumoulin et al. 2017, appendix A.  net: builds the image's part from the number of its outputs, here `features`, of
    which the code has as many.  hidden: units of the joint layers, with leaky ReLU.  dropout: after each of these.
    """

    def __init__(
        self,
        net: Callable[..., nn.Module],
        z_dim: int,
        features: int = 256,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.0,
    ):
        super().__init__()
        self.of_image, self.of_code = net(outputs=features), nn.Linear(z_dim, features)
        self.layers = nn.Sequential(*hidden_layers(2 * features, hidden, dropout=dropout), nn.Linear(hidden[-1], 1))

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        joined = torch.cat([self.of_code(z), self.of_image(x)], dim=1)
        return self.layers(leaky_relu(joined, 0.2)).squeeze(1)


class UnaryPairDiscriminator(nn.Module):
    """Codes z [B, z_dim] and images x [B, *shape] -> scores [B, 3]: s_x of F(x), s_z of H(z), s_xz of J(F(x), H(z)).

    Donahue & Simonyan 2019, with plain layers for H and J.  net: builds F from the number of its outputs, here
    `features`, which leaky ReLU follows.  hidden: units of the layers of H, and of those of J, with leaky ReLU.
    """

    def __init__(self, net: Callable[..., nn.Module], z_dim: int, features: int, hidden: Sequence[int]):
        super().__init__()
        self.of_image = nn.Sequential(net(outputs=features), nn.LeakyReLU(0.2))
        self.of_code = nn.Sequential(*hidden_layers(z_dim, hidden))
        self.of_pair = nn.Sequential(*hidden_layers(features + hidden[-1], hidden))
        self.scores = nn.ModuleList([nn.Linear(units, 1) for units in (features, hidden[-1], hidden[-1])])

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        image, code = self.of_image(x), self.of_code(z)
        parts = image, code, self.of_pair(torch.cat([image, code], dim=1))
        return torch.cat([score(part) for score, part in zip(self.scores, parts, strict=True)], dim=1)

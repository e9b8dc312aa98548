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

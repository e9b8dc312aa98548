"""Convolutional networks that get the class by conditional BatchNorm and by projection. Miyato & Koyama 2018."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ganrun.networks.dcgan import Discriminator, channels_of_layers, smallest_map

SPREAD = 0.5


class ConditionalBatchNorm(nn.Module):
    """BatchNorm whose scale and shift belong to the class y, int64 [B]: x [B, C, H, W] -> same shape.

    Weights of the classes, y float [B, classes], give the weighted means of their scales and shifts.

    Dumoulin et al. 2017, eq. 5, with batch statistics, as in Miyato & Koyama 2018, section 4.
    Departure: scales ~ N(1, SPREAD) and shifts ~ N(0, SPREAD) at first, where the paper has 1 and 0: Adam moves a
    parameter by its learning rate at most, and from equal classes it takes some thousand steps until they differ.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(1 + SPREAD * torch.randn(classes, channels))
        self.shift = nn.Parameter(SPREAD * torch.randn(classes, channels))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        rows = (table[y] if y.ndim == 1 else y.to(table) @ table for table in (self.scale, self.shift))
        scale, shift = (row[:, :, None, None] for row in rows)
        return self.norm(x) * scale + shift


class ConditionalNormGenerator(nn.Module):
    """(z [B, z_dim], y) -> images [B, *shape] in [-1, 1]: DCGAN's generator with conditional BatchNorm.

    shape: (C, H, W); H and W are each 4 to 8 times a power of two above 1.  width: channels of the last hidden layer.
    """

    takes_class_weights = True

    def __init__(self, shape: Sequence[int], z_dim: int, classes: int, width: int):
        super().__init__()
        smallest, n = smallest_map(shape)
        widths = channels_of_layers(n, width)[::-1]
        layers = [nn.ConvTranspose2d(z_dim, widths[0], smallest, bias=False)]
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList([ConditionalBatchNorm(channels, classes) for channels in widths])
        self.image = nn.ConvTranspose2d(width, shape[0], 4, 2, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x = z[:, :, None, None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = relu(norm(layer(x), y))
        return self.image(x).tanh()


class ProjectionDiscriminator(nn.Module):
    """(images [B, *shape], y) -> scores [B]: v_y . phi(x) + psi(phi(x)). Miyato & Koyama 2018, eq. 3.

    phi(x): a layer of 8 x width units over all of the last feature maps of DCGAN's discriminator; psi is linear.
    Departure: the paper sums the features over the pixels. Here, each of a 28x28 image sees 10x10 pixels, and their sum
    hardly tells one digit from another: the generator then learns to ignore the class.
    """

    def __init__(self, shape: Sequence[int], classes: int, width: int, batch_norm: bool = False):
        super().__init__()
        unconditional = Discriminator(shape, width, batch_norm)
        self.features, units = unconditional.features, 8 * width
        self.phi = nn.Conv2d(unconditional.channels, units, unconditional.smallest)
        self.psi, self.v = nn.Linear(units, 1), nn.Embedding(classes, units)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        phi = relu(self.phi(self.features(x))).flatten(1)
        return self.psi(phi).squeeze(1) + (self.v(y) * phi).sum(1)

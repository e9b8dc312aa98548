"""Discriminators that judge an example by how well they reconstruct it."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import elu, interpolate

from ganrun.networks.dcgan import smallest_map


class Decoder(nn.Module):
    """Codes [B, z_dim] -> images [B, *shape]: convolutions of 3x3 with ELU, two per size, and nearest upsampling.

    Berthelot et al. 2017, figure 1, without its skips.  shape: (C, H, W), as DCGAN's.  width: n there.
    """

    def __init__(self, shape: Sequence[int], z_dim: int, width: int):
        super().__init__()
        self.smallest, doublings = smallest_map(shape)
        height, breadth = self.smallest
        self.first = nn.Linear(z_dim, width * height * breadth)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2 * (doublings + 1)))
        self.image = nn.Conv2d(width, shape[0], 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.first(z).unflatten(1, (-1, *self.smallest))
        for i, layer in enumerate(self.layers):
            x = elu(layer(x))
            if i % 2 and i + 1 < len(self.layers):
                x = interpolate(x, scale_factor=2)
        return self.image(x)


class Encoder(nn.Module):
    """Images [B, *shape] -> codes [B, outputs]: convolutions of 3x3 with ELU; strides halve the sides.

    Berthelot et al. 2017, figure 1. The channels grow by `width` with each halving.
    """

    def __init__(self, shape: Sequence[int], outputs: int, width: int):
        super().__init__()
        (height, breadth), halvings = smallest_map(shape)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.ELU()]
        for n in range(1, halvings + 1):
            layers += [nn.Conv2d(n * width, n * width, 3, padding=1), nn.ELU()]
            layers += [nn.Conv2d(n * width, (n + 1) * width, 3, 2, 1), nn.ELU()]
        channels = (halvings + 1) * width
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ELU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * breadth, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Reconstruction(nn.Module):
    """Examples -> scores [B]: minus the mean of |x - decoder(encoder(x))|^power over the numbers of an example.

    power: 1 in Berthelot et al. 2017, 2 in Zhao et al. 2017 (there the sum, not the mean).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, power: int = 1):
        super().__init__()
        self.encoder, self.decoder, self.power = encoder, decoder, power

    def forward(self, x: Tensor) -> Tensor:
        difference = (x - self.decoder(self.encoder(x))).float().abs()
        return -difference.pow(self.power).flatten(1).mean(1)

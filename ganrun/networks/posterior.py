"""Encoders that return a distribution of codes."""

from collections.abc import Callable

from torch import Tensor, nn


class GaussianPosterior(nn.Module):
    """Examples [B, ...] -> mean and log variance of q(z | x), each [B, z_dim]. Kingma & Welling 2014, appendix C.2.

    net: builds the network from the number of its outputs, here 2 z_dim.
    """

    def __init__(self, net: Callable[..., nn.Module], z_dim: int):
        super().__init__()
        self.net = net(outputs=2 * z_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.net(x).chunk(2, dim=1)
        return mean, log_variance

"""Weights divided by their largest singular value."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from ganrun.networks.eval_mode import outside_autocast

LAYERS = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.Embedding)
FIRST_ITERATIONS = 15


class UnitSpectralNorm(nn.Module):
    """Parametrization W -> W / sigma(W), sigma estimated by the power method. Miyato et al. 2018, Algorithm 1.

    axis: of the outputs; W counts as a matrix [outputs, others].  iterations: of the power method in each forward pass
    in training mode, which move u [outputs] and v [others]; they are saved with the weights.
    Unlike torch's own, it computes sigma in the precision of the weights under autocast, too, and takes new values of
    the weight, such as initial ones, with their singular vectors.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, axis: int, iterations: int = 1):
        super().__init__()
        self.axis, self.iterations = axis, iterations
        matrix = self.matrix(weight.detach())
        self.register_buffer("u", normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.register_buffer("v", normalize(torch.randn_like(matrix[0]), dim=0))

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.axis, 0).flatten(1)

    @torch.no_grad()
    def iterate(self, matrix: Tensor, iterations: int) -> None:
        """Move u and v towards the first singular vectors, in place."""
        for _ in range(iterations):
            self.u.copy_(normalize(torch.mv(matrix, self.v), dim=0))
            self.v.copy_(normalize(torch.mv(matrix.T, self.u), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        with outside_autocast(weight):
            matrix = self.matrix(weight)
            if self.training:
                self.iterate(matrix, self.iterations)
            # clones: the next pass changes u and v in place, before the backward pass of this one
            return weight / torch.dot(self.u.clone(), torch.mv(matrix, self.v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return the weight to store for a new value, such as an initial one, and find its singular vectors."""
        self.iterate(self.matrix(value), FIRST_ITERATIONS)
        return value


def normalize_spectrum(network: nn.Module, iterations: int = 1) -> None:
    """Divide the weights of all linear, convolution and embedding layers by their largest singular value, in place."""
    for layer in [*network.modules()]:
        if isinstance(layer, LAYERS) and not parametrize.is_parametrized(layer, "weight"):
            axis = 1 if getattr(layer, "transposed", False) else 0
            norm = UnitSpectralNorm(layer.weight, axis, iterations)
            parametrize.register_parametrization(layer, "weight", norm)

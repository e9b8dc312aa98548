"""A mixture of Gaussians in a space of many dimensions, whose modes can be counted."""

import math

import torch
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.gaussians import Mixture
from ganrun.errors import UserError
from ganrun.seeds import named_generator


class HighDimensional(Mixture):
    """x = mean of mode y + deviation * B z with z ~ N(0, I): points on flat sheets, one sheet a mode.

    B: [dimensions, directions], orthonormal, the same for all modes.

    From Srivastava et al. 2017 (VEEGAN): 10 modes, each a Gaussian of 700 dimensions in a space of 1,200; a sample is
    of high quality within 10 standard deviations of the nearest mode. Its means, subspace and
    deviation are not known to us. Choices here: one random subspace, and means drawn from N(0, spread^2 I). The scores
    depend on spread / deviation alone: the defaults have both a tenth of what N(0, I) in the subspace would ask for,
    as the players learn slowly what lies far from their first samples.

    `sigma`, a mode's standard deviation, is a choice too: the root of the mean squared distance of its points from
    their mean, deviation * sqrt(directions). In units of a single direction's deviation the data themselves would
    have no point of high quality: their distance from the mean is sqrt(700) = 26.5 of these, never below 10.
    The default spread puts the means 22 sigma apart, so that no two modes overlap within 10 sigma.
    """

    name = "mixture_1200"

    def __init__(
        self,
        dimensions: int,
        directions: int,
        modes: int,
        deviation: float,
        spread: float,
        near: float,
        points: int,
        seed: int = 0,
    ):
        """spread: standard deviation of the means' coordinates.   near: a mode's reach in sigma.   seed: of all."""
        if not 1 <= directions <= dimensions:
            raise UserError(f"data.directions={directions} must be from 1 to data.dimensions={dimensions}.")
        for key, value in (("modes", modes), ("deviation", deviation), ("near", near)):
            if value <= 0:
                raise UserError(f"data.{key}={value} must be positive.")
        means = spread * torch.randn(modes, dimensions, generator=named_generator(seed, self.name, "means"))
        super().__init__(means, deviation * math.sqrt(directions), points, seed)
        self.directions, self.deviation, self.near = directions, deviation, near

    def load(self) -> LoadedData:
        generator = named_generator(self.seed, self.name)
        noise = torch.randn(self.points, self.directions, generator=generator)
        y = torch.randperm(self.points, generator=generator) % len(self.centers)
        x = torch.addmm(self.centers[y], noise, self.sheet().T, alpha=self.deviation)
        options = {"name": self.name, "deviation": self.deviation, "seed": self.seed}
        return cache.in_memory({"train-x": x.numpy(), "train-y": y.numpy()}, options, classes=self.classes)

    def sheet(self) -> Tensor:
        """B, the directions in which every mode extends: [dimensions, directions], orthonormal columns."""
        generator = named_generator(self.seed, self.name, "sheet")
        square = torch.randn(self.centers.shape[1], self.directions, dtype=torch.float64, generator=generator)
        return torch.linalg.qr(square).Q.float()

    def plane(self, points: Tensor) -> Tensor:
        """Points as they are drawn, [N, 2]: projected so that the K modes lie around a circle, the first at angle 0.

        The axes are sum_k cos(2 pi k / K) mean_k and the same with sin: random means of many dimensions are nearly
        orthogonal, so that mode k comes to lie near angle 2 pi k / K.
        """
        angle = torch.arange(len(self.centers)) * (2 * math.pi / len(self.centers))
        axes = torch.stack([angle.cos(), angle.sin()]) @ self.centers
        return points.detach().float().cpu() @ torch.nn.functional.normalize(axes).T

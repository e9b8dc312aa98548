"""A mixture of Gaussians in a high-dimensional space; the modes that a model finds can be counted."""

import math

import torch
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.gaussians import Mixture
from ganrun.errors import UserError
from ganrun.seeds import named_generator


class HighDimensional(Mixture):
    """x = mean of mode y + deviation * B z, z ~ N(0, I). B: [dimensions, directions], orthonormal, shared by all modes.

    After Srivastava et al. 2017 (VEEGAN): 10 modes, each a Gaussian of 700 dimensions in a space of 1,200; a sample
    within 10 standard deviations of the nearest mode is of high quality. The paper does not give means, subspace and
    deviation. Choices here: one random subspace, and means from N(0, spread^2 I). Scores depend on the ratio
    spread / deviation only; the default puts the means 22 sigma apart, and networks learn small numbers faster.
    sigma, a mode's standard deviation: the root mean square distance of its points from their mean, deviation *
    sqrt(directions). With `deviation` instead, no real point would be of high quality: sqrt(700) = 26.5 > 10.
    near: radius of a mode, in sigma; 10 in the paper.
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
        if not 1 <= directions <= dimensions:
            raise UserError(f"data.directions must be from 1 to data.dimensions={dimensions}, got {directions}.")
        for key, value in (("modes", modes), ("deviation", deviation), ("near", near)):
            if value <= 0:
                raise UserError(f"data.{key} must be positive, got {value}.")
        means = spread * torch.randn(modes, dimensions, generator=named_generator(seed, self.name, "means"))
        super().__init__(means, deviation * math.sqrt(directions), points, seed)
        self.directions, self.deviation, self.near = directions, deviation, near

    def load(self) -> LoadedData:
        generator = named_generator(self.seed, self.name)
        noise = torch.randn(self.points, self.directions, generator=generator)
        y = torch.randperm(self.points, generator=generator) % len(self.centers)
        x = torch.addmm(self.centers[y], noise, self.basis().T, alpha=self.deviation)
        options = {"name": self.name, "deviation": self.deviation, "seed": self.seed}
        return cache.in_memory({"train-x": x.numpy(), "train-y": y.numpy()}, options, classes=self.classes)

    def basis(self) -> Tensor:
        """Return B, the directions in which every mode extends: [dimensions, directions], orthonormal columns."""
        generator = named_generator(self.seed, self.name, "sheet")
        random = torch.randn(self.centers.shape[1], self.directions, dtype=torch.float64, generator=generator)
        return torch.linalg.qr(random).Q.float()

    def plane(self, points: Tensor) -> Tensor:
        """Project points to the plane in which they are plotted, [N, 2]: the K modes lie around a circle.

        The axes are sum_k cos(2 pi k / K) mean_k, and the same with sin. Random means in many dimensions are nearly
        orthogonal, so that mode k lies near angle 2 pi k / K.
        """
        angle = torch.arange(len(self.centers)) * (2 * math.pi / len(self.centers))
        axes = torch.stack([angle.cos(), angle.sin()]) @ self.centers
        return points.detach().float().cpu() @ torch.nn.functional.normalize(axes).T

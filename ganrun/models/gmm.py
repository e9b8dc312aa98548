"""A mixture of Gaussians, to compare GANs with a classical model."""

from typing import cast

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.models.base import Adversarial
from ganrun.models.player import Batch, Player
from ganrun.networks.gaussians import Gaussians


class GMM(Adversarial):
    """Each batch is one iteration of EM (Dempster et al. 1977) on its examples; with all the data, EM itself.

    The loss is |w - w'|^2 / 2, w' being the parameters after the iteration: gradient descent of rate 1 moves to w', a
    lower rate goes part of the way (stepwise EM, Liang & Klein 2009), as small batches need.
    """

    averages = ("mixture",)

    def __init__(self, mixture: Gaussians, **base):
        super().__init__(**base)
        self.mixture = mixture
        self.trial_size = 2 * mixture.components

    def players(self) -> list[Player]:
        return [Player("mixture", [self.mixture], self.distance_to_improved)]

    def distance_to_improved(self, batch: Batch):
        seed = None if self.steps_taken["mixture"] else self.seed
        improved, log_likelihood = self.mixture.improve(batch["x"], seed)
        distances = [(w - new).square().sum() for w, new in zip(self.mixture.parameters(), improved, strict=True)]
        return {"loss": sum(distances) / 2, "log_likelihood": log_likelihood}

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return examples [n, ...]."""
        return cast("Gaussians", self.net("mixture")).sample(n, generator)

    def pictures(self, data):
        n = 64 if len(data.shape) == 3 else 2500  # images, else points
        return {"samples": (self.sample(n, seeds.generator(0)), 8)}

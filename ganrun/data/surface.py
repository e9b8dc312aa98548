"""Contour lines of a function of the plane, as points: the ground on which model=game moves."""

from collections.abc import Callable

import torch
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.source import Source
from ganrun.seeds import named_generator

CANDIDATES = 400_000
THICKNESS = 0.006  # of a line, as a share of the extent


class ContourLines(Source):
    """Points x, float [N, 2], on the contour lines of `function` within [-extent, extent]^2; they are not learnt."""

    name = "surface"

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], surface: str, extent: float, lines: int):
        self.function, self.surface, self.extent, self.lines = function, surface, extent, lines

    def load(self) -> LoadedData:
        draws = torch.rand(CANDIDATES, 2, generator=named_generator(0, self.name)) * 2 - 1
        points = self.extent * draws
        x, y = points.double().requires_grad_().unbind(1)
        f = self.function(x, y)
        slope = torch.stack(torch.autograd.grad(f.sum(), (x, y))).norm(dim=0).clamp(min=0.1)
        levels = f.quantile(torch.linspace(0, 1, self.lines + 2, dtype=f.dtype)[1:-1])
        distance = ((f[:, None] - levels).abs().amin(1) / slope).detach()
        kept = points[distance < THICKNESS * self.extent]
        options = {"name": self.name, "surface": self.surface, "extent": self.extent, "lines": self.lines}
        return cache.in_memory({"train-x": kept.numpy()}, options)

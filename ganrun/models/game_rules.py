"""Other ways to move in the game of two numbers."""

import torch

from ganrun.models.game import Game
from ganrun.models.player import Batch, Player


class AlternatingGame(Game):
    """The same game in turns: y moves from the point to which x has moved, as the players of a GAN do."""

    def players(self) -> list[Player]:
        return [
            Player("x", [self.x], lambda batch: {"loss": self.surface(self.x[0], self.y[0]), **self.position()}),
            Player("y", [self.y], lambda batch: -self.surface(self.x[0], self.y[0])),
        ]


class ExtragradientGame(Game):
    """Both move by the gradient at the point that a first step would reach. Korpelevich 1976; Gidel et al. 2019, eq. 9.

    extrapolation: learning rate of the first step.
    """

    def __init__(self, *args, extrapolation: float, **base):
        super().__init__(*args, **base)
        self.extrapolation = extrapolation

    def game_loss(self, batch: Batch):
        x, y = (number[0].detach().requires_grad_() for number in (self.x, self.y))
        f = self.surface(x, y)
        slope_x, slope_y = torch.autograd.grad(f, (x, y))
        x, y = self.x[0] - self.extrapolation * slope_x, self.y[0] + self.extrapolation * slope_y
        loss = self.surface(x, y.detach()) - self.surface(x.detach(), y)
        return {"loss": loss, "f": f.detach(), **self.position()}

"""The min-max game itself: two numbers on a surface, moved by their gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganrun.models.base import Adversarial
from ganrun.models.player import Batch, Player
from ganrun.networks.surfaces import Surface


class Game(Adversarial):
    """min over x, max over y of f(x, y) by simultaneous gradient descent-ascent: both move from the same point.

    surface: f.  start: (x, y).  remember: newest points that the picture shows and checkpoints keep.
    """

    needs = ()
    path: Tensor  # point n is row n modulo its length
    moves: Tensor

    def __init__(self, surface: Surface, start: Sequence[float], remember: int, **base):
        super().__init__(**base)
        self.surface = surface
        self.x, self.y = (nn.ParameterList([torch.tensor(float(value))]) for value in start)
        self.register_buffer("path", torch.tensor([[float(value) for value in start]]).repeat(remember, 1))
        self.register_buffer("moves", torch.zeros((), dtype=torch.long))

    def players(self) -> list[Player]:
        return [Player("both", [self.x, self.y], self.game_loss)]

    def game_loss(self, batch: Batch):
        """Return a number whose gradient is (df/dx, -df/dy), with the value of f."""
        x, y = self.x[0], self.y[0]
        f = self.surface(x.detach(), y.detach())
        return {"loss": self.surface(x, y.detach()) - self.surface(x.detach(), y), "f": f, **self.position()}

    def position(self) -> dict[str, Tensor]:
        return {"x": self.x[0].detach().clone(), "y": self.y[0].detach().clone()}

    def after_turn(self, player: Player) -> None:
        if player.name == self._players[-1].name:
            self.moves += 1
            point = torch.stack([self.x[0], self.y[0]]).detach()
            self.path.index_copy_(0, self.moves[None] % len(self.path), point[None])

    def trajectory(self) -> Tensor:
        """Return the remembered points in order, [remember, 2]; the start comes first as often as there is room."""
        return self.path.roll(-int(self.moves + 1) % len(self.path), 0)

    def pictures(self, data):
        return {"trajectory": (self.trajectory(), 1)}

"""Rounds of boosting, and weights of training examples by how much a mixture of generators leaves them out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganrun.models.losses import at_least_float32
from ganrun.models.player import Batch


def example_weights(ratios: Tensor, beta: float) -> Tensor:
    """Return (lambda - (1 - beta) h)+ / beta of each example, with mean 1. Tolstikhin et al. 2017, section 3.

    ratios: h, the density of the mixture so far divided by that of the data: [B].  beta: of the next component.
    """
    ordered, count = ratios.sort()[0], torch.arange(1, len(ratios) + 1, device=ratios.device)
    candidates = (beta * len(ratios) + (1 - beta) * ordered.cumsum(0)) / count
    is_part = (1 - beta) * ordered < candidates  # true up to the last example that gets a weight
    last = candidates.index_select(0, is_part.sum()[None] - 1)  # candidates[...] would wait for the device
    return (last - (1 - beta) * ratios).relu() / beta


@torch.no_grad()
def draw_by_weight(batch: Batch, scores: Tensor, beta: float) -> Batch:
    """Return as many examples of the batch, drawn by their weights. scores: log of data to mixture so far, [B]."""
    weights = example_weights(at_least_float32(scores).neg().exp(), beta)
    chosen = weights.multinomial(len(weights), replacement=True)
    return {key: value[chosen] for key, value in batch.items()}


@dataclass(frozen=True)
class Rounds:
    """Which component is trained when. images: of a round.  judge_share: of a round but the first, trains the judge."""

    components: int
    images: float
    judge_share: float

    def number(self, seen: int) -> int:
        """Return the component whose round it is, from 0; the last one's does not end."""
        return min(int(seen / self.images), self.components - 1)

    def is_judging(self, seen: int) -> bool:
        t = self.number(seen)
        return t > 0 and seen < (t + self.judge_share) * self.images

    def finished(self, seen: int) -> int:
        """Return how many components a sample may come from: those whose rounds are over, and the first."""
        return min(max(1, int(seen / self.images)), self.components)


@torch.no_grad()
def restart(network: nn.Module, first: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Set a network to the state of `first`, and its optimizer to the beginning, in place: CUDA graphs use both."""
    network.load_state_dict(first.state_dict())
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()

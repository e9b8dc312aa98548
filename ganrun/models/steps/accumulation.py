"""Gradient accumulation: one step on a batch that goes through the networks in parts, which takes less memory."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from ganrun.errors import Failure


class Accumulation:
    """Adds up a player's gradients of equal parts of a batch.

    A loss that is a mean over examples has the same gradient as on the whole batch: noise is drawn for the whole batch,
    and each part gets its share. What a network draws itself, such as dropout, it draws for each part. Layers that
    compute something over the batch, such as BatchNorm, see one part at a time.

    parts: number of parts.  part: the one whose loss is computed; 0 outside a step.
    """

    def __init__(self, parts: int):
        self.parts, self.part = parts, 0
        self.samples: list[Tensor] | None = None  # drawn in this step, for the whole batch; None: outside a step
        self.draws = 0  # of this part

    def backward(self, model, player, batch: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Backpropagate the mean of the parts' losses and return the terms of the whole batch, without gradient.

        None if the loss is None. Raises Failure if it is for some parts only.

        model: the Adversarial.  Several ranks exchange their gradients once, after the last part.
        """
        unsynchronized = getattr(model.trainer.strategy, "block_backward_sync", nullcontext)
        self.samples, terms = [], []
        try:
            for i, examples in enumerate(split_batch(batch, self.parts)):
                self.part, self.draws = i, 0
                with nullcontext() if i == self.parts - 1 else unsynchronized():
                    found = model.backward_loss(player, examples, 1 / self.parts)
                terms.append(found and {name: value.detach() for name, value in found.items()})
        finally:
            self.samples, self.part = None, 0
        if None in terms:
            if any(terms):
                raise Failure(f"The loss of the {player.name} is None for some parts of a batch, and not for others.")
            return None
        return {name: join_values([part[name] for part in terms]) for name in terms[0]}

    def draw(self, sample: Callable[[int], Tensor], n: int) -> Tensor:
        """Return this part's share, [n, ...], of a sample that is drawn for all parts at once."""
        if self.samples is None:
            return sample(n)
        if self.draws == len(self.samples):
            self.samples.append(sample(n * self.parts))
        self.draws += 1
        return self.samples[self.draws - 1].narrow(0, self.part * n, n)


def split_batch(batch: Mapping[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
    """Return equal parts of a batch in order, as views."""
    chunks = {key: value.chunk(parts) for key, value in batch.items()}
    return [{key: pieces[i] for key, pieces in chunks.items()} for i in range(parts)]


def join_values(values: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalars, or the values of all examples one after the other."""
    return torch.cat([*values]) if values[0].ndim else torch.stack([*values]).mean()

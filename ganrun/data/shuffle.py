"""The order of training examples, as a pure function of the seed."""

import torch
from torch import Tensor

from ganrun.seeds import named_generator


class EndlessShuffle:
    """Permutations of n indices, one for each epoch, laid end to end.

    name: makes orders of the same seed differ, such as those of the domains a and b.
    """

    def __init__(self, n: int, seed: int, name: str, device: torch.device | str = "cpu"):
        self.n, self.seed, self.name, self.device = n, seed, name, device
        self._epochs: dict[int, Tensor] = {}  # the last two that were used

    def indices(self, start: int, count: int) -> Tensor:
        """Return `count` entries of the endless shuffled sequence of indices, from position `start`: int64 [count]."""
        epoch, offset = divmod(start, self.n)
        if offset + count <= self.n:
            return self._epoch(epoch)[offset : offset + count]
        last = (start + count - 1) // self.n
        return torch.cat([self._epoch(e) for e in range(epoch, last + 1)])[offset : offset + count]

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            order = torch.randperm(self.n, generator=named_generator(self.seed, self.name, epoch))
            self._epochs[epoch] = order.to(self.device)
        return self._epochs[epoch]

"""The order of the training examples: a pure function of the seed, whatever was drawn before."""

import torch
from torch import Tensor

from ganrun.seeds import named_generator


class EndlessShuffle:
    """Endless permutations of n indices, one an epoch, laid end to end.

    name keeps the orders of one seed apart (a and b of an unpaired data set).
    """

    def __init__(self, n: int, seed: int, name: str, device: torch.device | str = "cpu"):
        self.n, self.seed, self.name, self.device = n, seed, name, device
        self._epochs: dict[int, Tensor] = {}

    def indices(self, start: int, count: int) -> Tensor:
        """Indices number start to start + count: int64 [count]."""
        epoch, offset = divmod(start, self.n)
        if offset + count <= self.n:
            return self._epoch(epoch)[offset : offset + count]
        last = (start + count - 1) // self.n
        return torch.cat([self._epoch(e) for e in range(epoch, last + 1)])[offset : offset + count]

    def _epoch(self, epoch: int) -> Tensor:
        found = self._epochs.get(epoch)
        if found is None:
            self._epochs = {e: order for e, order in self._epochs.items() if e == epoch - 1}
            found = torch.randperm(self.n, generator=named_generator(self.seed, self.name, epoch)).to(self.device)
            self._epochs[epoch] = found
        return found

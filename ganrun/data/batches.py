"""Training batches cut from arrays: batch number k is a pure function of (seed, k)."""

from collections.abc import Iterator
from functools import partial
from itertools import count

import torch
from torch import Tensor

from ganrun.data.images import to_float
from ganrun.data.prefetch import prefetch
from ganrun.data.shuffle import EndlessShuffle
from ganrun.errors import UserError
from ganrun.seeds import named_generator

Batch = dict[str, Tensor]


class TrainingBatches:
    """The endless training batches of one data set.

    arrays: uint8 pictures [N, C, H, W], float points [N, d], int64 labels [N], by batch key. x and y share one order,
    a and b have each their own.
    device: where the finished batches lie; the gathering happens where the arrays lie.
    """

    def __init__(
        self, arrays: Batch, batch_size: int, seed: int, flip: bool = False, device: str | torch.device = "cpu"
    ):
        self.batch_size, self.seed, self.flip, self.device = batch_size, seed, flip, torch.device(device)
        groups: dict[str, Batch] = {}
        for key, array in arrays.items():
            groups.setdefault("x" if key == "y" else key, {})[key] = array
        self._groups = [(_order(name, group, seed), group) for name, group in groups.items()]

    def batch(self, k: int, rank: int = 0, world: int = 1) -> Batch:
        """Rank's slice of the joint batch number k, pictures in [-1, 1]."""
        return self._finished(self._gathered(k, rank, world))

    def _gathered(self, k: int, rank: int, world: int) -> Batch:
        """The slice where the arrays lie and of their type."""
        share = self.share(world)
        start = k * self.batch_size + rank * share
        batch = {}
        for order, arrays in self._groups:
            index = order.indices(start, share)
            for key, array in arrays.items():
                batch[key] = array.index_select(0, index)
        if self.flip:
            self._flip(batch, k, slice(rank * share, (rank + 1) * share))
        return {key: self._ready(part) for key, part in batch.items()}

    def share(self, world: int) -> int:
        """How many of a joint batch's examples each of `world` ranks takes."""
        if self.batch_size % world:
            raise UserError(
                f"batch_size={self.batch_size} cannot be shared evenly by {world} devices: "
                f"choose a multiple of {world}, such as batch_size={-(-self.batch_size // world) * world}."
            )
        return self.batch_size // world

    def endless(self, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Batch number `start` and all that follow.

        Where they go to a GPU from the machine's memory, a thread gathers them meanwhile.
        """
        gather = partial(self._gathered, rank=rank, world=world)
        gathered = prefetch(gather, start) if self._is_apart else map(gather, count(start))
        yield from map(self._finished, gathered)

    @property
    def _is_apart(self) -> bool:
        return any(array.device != self.device for _, arrays in self._groups for array in arrays.values())

    def _flip(self, batch: Batch, k: int, mine: slice) -> None:
        generator = named_generator(self.seed, "flip", k)
        for key, part in batch.items():
            if part.dim() == 4:
                is_flipped = torch.rand(self.batch_size, generator=generator)[mine] < 0.5
                choice = torch.arange(len(part)) + len(part) * is_flipped  # taking rows is six times as fast as a where
                batch[key] = torch.cat([part, part.flip(3)]).index_select(0, choice.to(part.device))

    def _ready(self, part: Tensor) -> Tensor:
        """Where the GPU can fetch it without waiting."""
        return part.pin_memory() if part.device != self.device and self.device.type == "cuda" else part

    def _finished(self, batch: Batch) -> Batch:
        on_device = {key: part.to(self.device, non_blocking=True) for key, part in batch.items()}
        return {key: to_float(part) if part.dtype == torch.uint8 else part for key, part in on_device.items()}


def _order(name: str, arrays: Batch, seed: int) -> EndlessShuffle:
    first = next(iter(arrays.values()))
    return EndlessShuffle(len(first), seed, name, first.device)


def place_on_device(arrays: Batch, wish: str, device: torch.device) -> Batch:
    """The arrays where batches are to be gathered: on the GPU or in (memory-mapped) main memory.

    wish: auto (on a CUDA device, when they take less than half of its free memory), cpu, cuda.
    """
    if wish not in ("auto", "cpu", "cuda"):
        raise UserError(f"data.device={wish} is not known. Allowed: auto, cpu, cuda.")
    if wish == "cuda" and device.type != "cuda":
        raise UserError("data.device=cuda, but the training does not run on a CUDA device: use data.device=auto.")
    if device.type != "cuda" or wish == "cpu":
        return arrays
    size = sum(array.nbytes for array in arrays.values())
    if wish == "auto" and size * 2 >= torch.cuda.mem_get_info(device)[0]:
        return arrays
    return {key: array.to(device) for key, array in arrays.items()}

"""Training batches from arrays: batch number k is a pure function of (seed, k)."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import torch
from torch import Tensor

from ganrun.data.keys import Key, names_by_order
from ganrun.data.shuffle import EndlessShuffle
from ganrun.errors import UserError
from ganrun.seeds import named_generator

Batch = dict[str, Tensor]
PREFETCHED = 2  # items that are ready or in preparation: enough for one to hide the time of the other


class TrainingBatches:
    """The endless training batches of one data set.

    arrays: {key: [N, ...]}, as the data set stores them.
    keys: what the arrays hold. Those that move together share one order and the flips; others have their own.
    A key of the kind index has no array: the batch holds the numbers of its examples.
    flip: mirror each picture with probability 1/2, with all that moves with it.
    device: of the batches. Examples are gathered on the device of the arrays.
    """

    def __init__(
        self,
        arrays: Batch,
        keys: Mapping[str, Key],
        batch_size: int,
        seed: int,
        flip: bool = False,
        device: str | torch.device = "cpu",
    ):
        self.arrays, self.keys = arrays, keys
        self.batch_size, self.seed, self.flip, self.device = batch_size, seed, flip, torch.device(device)
        indices = [name for name, key in keys.items() if key.kind == "index"]
        groups = names_by_order(keys, [*arrays, *indices])
        self._orders: dict[str, EndlessShuffle] = {}
        for name, group in groups.items():
            array = arrays[next(key for key in group if key in arrays)]
            self._orders[name] = EndlessShuffle(len(array), seed, name, array.device)
        self._groups = [
            (self._orders[name], [(key, arrays.get(key)) for key in group]) for name, group in groups.items()
        ]
        self._mirrored = [[key for key in group if keys[key].is_mirrored] for group in groups.values()]

    def batch(self, k: int, rank: int = 0, world: int = 1) -> Batch:
        """Return the rank's slice of joint batch number k, pictures in [-1, 1]."""
        return self._to_device(self._gather(k, rank, world))

    def _gather(self, k: int, rank: int, world: int) -> Batch:
        """Return the slice in the arrays' dtypes, on their device; in pinned memory if it is to go to a GPU."""
        share = share_batch(self.batch_size, world)
        start = k * self.batch_size + rank * share
        batch = {}
        for order, group in self._groups:
            index = order.indices(start, share)
            for key, array in group:
                batch[key] = index.clone() if array is None else array.index_select(0, index)
        if self.flip:
            self._flip(batch, k, slice(rank * share, (rank + 1) * share))
        if self._is_copied and self.device.type == "cuda":  # pinned, the GPU fetches it asynchronously
            return {key: part.pin_memory() for key, part in batch.items()}
        return batch

    def endless(self, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield batch number `start` and all that follow, prefetched if they must be copied to a GPU."""
        gather = partial(self._gather, rank=rank, world=world)
        batches = prefetch(gather, start) if self._is_copied else map(gather, count(start))
        yield from map(self._to_device, batches)

    @property
    def _is_copied(self) -> bool:
        return any(array.device != self.device for array in self.arrays.values())

    def _flip(self, batch: Batch, k: int, rows: slice) -> None:
        generator = named_generator(self.seed, "flip", k)
        for mirrored in filter(None, self._mirrored):
            is_flipped = torch.rand(self.batch_size, generator=generator)[rows] < 0.5
            index = torch.arange(len(is_flipped)) + len(is_flipped) * is_flipped  # six times as fast as where
            for key in mirrored:
                part = batch[key]
                batch[key] = torch.cat([part, part.flip(-1)]).index_select(0, index.to(part.device))

    def _to_device(self, batch: Batch) -> Batch:
        on_device = {key: part.to(self.device, non_blocking=True) for key, part in batch.items()}
        return {key: self.keys[key].to_batch(part) for key, part in on_device.items()}


def prefetch(make: Callable[[int], Batch], start: int) -> Iterator[Batch]:
    """Yield make(start), make(start + 1) and so on without end, made in a thread. Errors are raised in their turn."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        queue = deque(pool.submit(make, start + i) for i in range(PREFETCHED))
        for k in count(start + PREFETCHED):
            item = queue.popleft().result()
            queue.append(pool.submit(make, k))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def limit_arrays(arrays: Batch, keys: Mapping[str, Key], limit: int | None) -> Batch:
    """Return the arrays of a random subset of `limit` examples, always the same; all if there are no more.

    Keys that move together keep the same examples.
    """
    if limit is None:
        return arrays
    limited = dict(arrays)
    for first, names in names_by_order(keys, arrays).items():
        count = len(arrays[names[0]])
        chosen = torch.randperm(count, generator=named_generator("limit", first))[:limit].sort().values
        limited |= {name: arrays[name].index_select(0, chosen) for name in names if limit < count}
    return limited


def place_on_device(arrays: Batch, choice: str, device: torch.device) -> Batch:
    """Return the arrays where batches are gathered: on the GPU, or in main memory (memory-mapped).

    choice: cpu, cuda, or auto: on a CUDA device if they take less than half of its free memory.
    """
    if choice not in ("auto", "cpu", "cuda"):
        raise UserError(f"Unknown data.device={choice}. Allowed: auto, cpu, cuda.")
    if choice == "cuda" and device.type != "cuda":
        raise UserError("data.device=cuda, but training does not run on a CUDA device. Set data.device=auto.")
    if device.type != "cuda" or choice == "cpu":
        return arrays
    size = sum(array.nbytes for array in arrays.values())
    if choice == "auto" and size * 2 >= torch.cuda.mem_get_info(device)[0]:
        return arrays
    return {key: array.to(device) for key, array in arrays.items()}


def share_batch(batch_size: int, world: int) -> int:
    """Return the number of examples for each of `world` devices. Raise UserError if they differ."""
    if batch_size % world:
        raise UserError(
            f"batch_size must be a multiple of the number of devices, {world}, got {batch_size}. "
            f"Set for example batch_size={-(-batch_size // world) * world}."
        )
    return batch_size // world

"""Generates samples for scoring without changing the random streams of the training."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature

import torch
from torch import Tensor, distributed
from torchmetrics import Metric

from ganrun.data.keys import keys_taken
from ganrun.errors import UserError
from ganrun.seeds import generator, hash_integers


def rank_and_world() -> tuple[int, int]:
    """This process's rank and the number of processes that score together."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def float64_device(device: torch.device) -> torch.device:
    """The device for float64 sums: the model's, because NCCL reduces only GPU tensors; the CPU for MPS (no float64)."""
    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Disable gradients and seed torch's global random streams inside the block; restore both afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def require_samples(samples: int, world: int = 1) -> int:
    """Return the number of samples. Raises UserError if they are too few for a covariance in each process."""
    if samples < 2 * world:
        raise UserError(f"metrics.samples={samples} is too few: scores need at least {2 * world} samples.")
    return samples


def generate_batches(model, data, samples: int, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield this process's share of `samples` samples in batches: (x, requested labels or None).

    What the model takes, such as labels, are the data's conditions. Each process draws from a generator seeded with
    (seed, rank).
    """
    rank, world = rank_and_world()
    stream, keys = generator(seed, rank), keys_taken(model)
    share = range(rank, require_samples(samples, world), world)
    label = next((key for key in keys if is_label(data, key)), None)
    for start in range(0, len(share), batch_size):
        part = share[start : start + batch_size]
        conditions = data.conditions(samples, keys, slice(part.start, part.stop, world)) if keys else {}
        yield draw_samples(model, len(part), stream, conditions), conditions[label] if label else None


def is_label(data, key: str) -> bool:
    return key in data.keys and data.keys[key].kind == "label"


def takes_labels(model, data) -> bool:
    """Return whether the model's samples are of requested classes."""
    return any(is_label(data, key) for key in keys_taken(model))


def draw_samples(model, n: int, generator: torch.Generator, conditions: Mapping[str, Tensor]) -> Tensor:
    """Return n samples of the model under these conditions, {key: [n, ...]}.

    Models of version 0.1 have a parameter y, which may lack a default.
    """
    y = {"y": None} if "y" in signature(model.sample).parameters else {}
    return model.sample(n, **{**y, **conditions}, generator=generator)


class AllFinite(Metric):
    """Whether all values in all processes are finite. As uint8, NaN and Inf would look like ordinary pixels."""

    broken: Tensor

    def __init__(self):
        super().__init__()
        self.add_state("broken", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        self.broken += (~torch.isfinite(x)).any()

    def compute(self) -> Tensor:
        return self.broken == 0


def nan_unless_finite(scores: dict[str, float], finite: AllFinite) -> dict[str, float]:
    return scores if finite.compute() else dict.fromkeys(scores, math.nan)


def scoring_seed(seed: int) -> int:
    """The seed of the global streams while scoring; it differs from that of the samples."""
    return hash_integers(seed, 0x5C0)

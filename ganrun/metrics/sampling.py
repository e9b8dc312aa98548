"""Examples to be scored, drawn without a trace in the training's random streams."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed
from torchmetrics import Metric

from ganrun.errors import UserError
from ganrun.seeds import generator, hash_integers


def rank_and_world() -> tuple[int, int]:
    """Rank and number of processes that score together."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def float64_device(device: torch.device) -> torch.device:
    """Where sums are kept: beside the model, as nccl can add them up only there; mps has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """No gradients, and torch's global streams seeded anew inside and restored afterwards."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def require_samples(samples: int, world: int = 1) -> int:
    """The count, when a covariance can be made of it. Raises UserError otherwise."""
    if samples < 2 * world:
        raise UserError(f"metrics.samples={samples} is too few: scores need at least {2 * world} samples.")
    return samples


def generate_batches(model, data, samples: int, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """This process's share of `samples` generated examples, in batches: (x, labels asked for or None).

    Labels have the data's proportions. Each process draws from a generator of (seed, rank).
    """
    rank, world = rank_and_world()
    stream = generator(seed, rank)
    share = range(rank, require_samples(samples, world), world)
    labels = data.labels(samples)[rank::world] if "y" in model.needs else None
    for start in range(0, len(share), batch_size):
        y = None if labels is None else labels[start : start + batch_size]
        yield model.sample(min(batch_size, len(share) - start), y=y, generator=stream), y


class AllFinite(Metric):
    """Whether all values seen by all processes were finite; as pictures, others would pass for black."""

    def __init__(self):
        super().__init__()
        self.add_state("broken", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, x: Tensor) -> None:
        self.broken += (~torch.isfinite(x)).any()

    def compute(self) -> Tensor:
        return self.broken == 0


def nan_unless_finite(scores: dict[str, float], finite: AllFinite) -> dict[str, float]:
    """The scores, or nan for each when something that was scored was not finite."""
    return scores if finite.compute() else dict.fromkeys(scores, math.nan)


def scoring_seed(seed: int) -> int:
    """A seed for the global streams that differs from the samples' own."""
    return hash_integers(seed, 0x5C0)

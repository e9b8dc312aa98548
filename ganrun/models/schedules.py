"""Learning-rate schedules: share of the training done, 0..1 -> factor of the learning rate."""

from collections.abc import Iterable
from typing import Any


def linear_decay(progress: float, start: float, end: float) -> float:
    """1 until `start`, then linear to `end` at the end of the training. Zhu et al. 2017 (start .5, end 0)."""
    share = max(0.0, progress - start) / max(1 - start, 1e-12)
    return 1 + (end - 1) * min(share, 1.0)


def scale_learning_rates(optimizers: Iterable[Any], factor: float) -> None:
    """Set the learning rates of the optimizers to this factor times those that they began with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

"""How long a training takes."""

import math
import time
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer


def kimg_limit(kimg: float | None) -> float:
    """Return the length of a training in thousands of images: infinite where it is None and only the time counts."""
    return math.inf if kimg is None else kimg


class Length(Callback):
    """Ends the training after `kimg` thousand images or `minutes`, whichever comes first; keeps model.progress."""

    def __init__(self, kimg: float | None, minutes: float | None):
        self.images, self.minutes = round(1000 * kimg_limit(kimg), 6), minutes  # 1000 * 2.007 is a little above 2007
        self.seconds_before = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.start = time.monotonic() - self.seconds_before
        self._update(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._update(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": time.monotonic() - self.start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds_before = state_dict["seconds"]

    def _update(self, trainer: Trainer, model) -> None:
        share_of_time = (time.monotonic() - self.start) / (60 * self.minutes) if self.minutes is not None else 0.0
        if trainer.world_size > 1:  # all ranks must stop after the same batch, so they use the clock of the first
            share_of_time = trainer.strategy.broadcast(torch.tensor(share_of_time, device=model.device)).item()
        model.progress = min(1.0, max(model.images_seen / self.images, share_of_time))
        if model.progress >= 1:
            trainer.should_stop = True

"""How long a training goes on."""

import time

import torch
from pytorch_lightning import Callback


class Length(Callback):
    """Ends the training after `kimg` thousand images or `minutes`, whichever comes first; keeps model.progress."""

    def __init__(self, kimg: float, minutes: float | None):
        self.images, self.minutes = round(1000 * kimg, 6), minutes  # 1000 * 2.007 is a little more than 2007
        self.seconds_before = 0.0

    def on_train_start(self, trainer, model):
        self.start = time.monotonic() - self.seconds_before
        self._update(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self._update(trainer, model)

    def state_dict(self) -> dict:
        return {"seconds": time.monotonic() - self.start}

    def load_state_dict(self, state: dict) -> None:
        self.seconds_before = state["seconds"]

    def _update(self, trainer, model) -> None:
        model.progress = min(1.0, max(model.images_seen / self.images, self._share_of_time(trainer, model)))
        if model.progress >= 1:
            trainer.should_stop = True

    def _share_of_time(self, trainer, model) -> float:
        if self.minutes is None:
            return 0.0
        share = (time.monotonic() - self.start) / (60 * self.minutes)
        if trainer.world_size == 1:
            return share
        share = torch.tensor(share, device=model.device)  # ranks must agree on the last batch: the first one's clock
        return trainer.strategy.broadcast(share).item()

"""Several callbacks as one."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from pytorch_lightning import Callback


class Together(Callback):
    """Calls `parts` in turn, after every batch, of which one of Lightning's steps may hold several.

    Lightning would pay for each callback at all eight hooks of a step; here it pays for one.
    """

    def __init__(self, parts: Sequence[Callback]):
        self.parts = parts

    def on_train_start(self, trainer, model):
        model.after_batch = partial(self._after_batch, trainer, model)
        for part in self.parts:
            part.on_train_start(trainer, model)

    def _after_batch(self, trainer, model) -> None:
        kind = model.device.type
        is_cast = torch.is_autocast_enabled(kind)  # Lightning has switched it on for its step
        with torch.autocast(kind, enabled=False) if is_cast else nullcontext():
            for part in self.parts:
                part.on_train_batch_end(trainer, model, None, None, model.batches_seen - 1)

    def on_train_end(self, *arguments):
        for part in self.parts:
            part.on_train_end(*arguments)

    def on_save_checkpoint(self, *arguments):
        for part in self.parts:
            part.on_save_checkpoint(*arguments)

    def on_exception(self, *arguments):
        for part in self.parts:
            part.on_exception(*arguments)

    def state_dict(self) -> dict:
        """Of the parts that have any, by the name of their class."""
        states = {type(part).__name__: part.state_dict() for part in self.parts}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state: dict) -> None:
        for part in self.parts:
            if type(part).__name__ in state:
                part.load_state_dict(state[type(part).__name__])

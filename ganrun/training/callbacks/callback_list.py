"""Several callbacks as one."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial

import torch
from pytorch_lightning import Callback

from ganrun.errors import UserError


class CallbackList(Callback):
    """Calls `callbacks` in turn, after every batch, of which one of Lightning's steps may hold several.

    Lightning would pay for each callback at all eight hooks of a step; here it pays for one.
    """

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = callbacks

    def on_train_start(self, trainer, model):
        model.after_batch = partial(self._after_batch, trainer, model)
        for callback in self.callbacks:
            callback.on_train_start(trainer, model)

    def _after_batch(self, trainer, model) -> None:
        kind = model.device.type
        is_cast = torch.is_autocast_enabled(kind)  # Lightning has switched it on for its step
        with torch.autocast(kind, enabled=False) if is_cast else nullcontext():
            for callback in self.callbacks:
                callback.on_train_batch_end(trainer, model, None, None, model.batches_seen - 1)

    def on_train_end(self, *arguments):
        for callback in self.callbacks:
            callback.on_train_end(*arguments)

    def on_save_checkpoint(self, *arguments):
        for callback in self.callbacks:
            callback.on_save_checkpoint(*arguments)

    def on_exception(self, *arguments):
        for callback in self.callbacks:
            callback.on_exception(*arguments)

    def state_dict(self) -> dict:
        """Return the states of the callbacks that have one, by `state_key`: the name of the class by default."""
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore the callbacks; one without a stored state starts fresh. Raises UserError for an unknown state."""
        callbacks = {callback.state_key: callback for callback in self.callbacks}
        if unknown := state_dict.keys() - callbacks.keys():
            raise UserError(
                f"The checkpoint holds the state of {', '.join(sorted(unknown))}, a callback that this run lacks. "
                "Restore it in the config, or start a new run from this state: ganrun resume RUN branch=true"
            )
        for key, state in state_dict.items():
            callbacks[key].load_state_dict(state)

"""All callbacks of a run as one Lightning callback."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden

from ganrun.errors import UserError

HOOKS = [name for name in vars(Callback) if name.startswith("on_") or name in ("setup", "teardown")]
HANDLED = {"on_train_start", "on_train_batch_start", "on_train_batch_end", "on_load_checkpoint"}  # not just forwarded


class CallbackList(Callback):
    """Calls the hooks of several callbacks in their order, the batch hooks once per batch of a step.

    Lightning sees one callback, as each has a price per hook; hooks that nobody implements are not called.
    """

    def __init__(self, callbacks: Sequence[Callback]):
        self.callbacks = callbacks
        self.implementers = {hook: [c for c in callbacks if is_overridden(hook, c)] for hook in HOOKS}
        for hook in HOOKS:
            if self.implementers[hook] and hook not in HANDLED:
                setattr(self, hook, partial(self._call, hook))
        stateful = [callback.state_key for callback in callbacks if is_overridden("state_dict", callback)]
        if repeated := {key for key in stateful if stateful.count(key) > 1}:
            raise UserError(
                f"Several callbacks save their state as {', '.join(sorted(repeated))}. "
                "Give each its own `state_key` property."
            )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        model = pl_module

        def call_in_step(hook: str, *args: Any) -> None:
            """Call a hook without the autocast that Lightning turns on for its step."""
            is_on = torch.is_autocast_enabled(model.device.type)
            with torch.autocast(model.device.type, enabled=False) if is_on else nullcontext():
                self._call(hook, trainer, model, *args)

        if self.implementers["on_train_batch_start"]:
            model.before_batch = lambda batch: call_in_step("on_train_batch_start", batch, model.batches_seen)
        model.after_batch = lambda batch: call_in_step("on_train_batch_end", model.terms, batch, model.batches_seen - 1)
        self._call("on_train_start", trainer, model)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        check_states(checkpoint["callbacks"], trainer.callbacks)  # pyright: ignore  # set by a connector of Lightning's
        self._call("on_load_checkpoint", trainer, pl_module, checkpoint)

    def _call(self, hook: str, *args: Any, **kwargs: Any) -> None:
        for callback in self.implementers[hook]:
            getattr(callback, hook)(*args, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the callbacks that have one, by their `state_key`: by default the class name."""
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        return {key: state for key, state in states.items() if state}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the callbacks. One without a stored state starts fresh; a state without its callback is an error."""
        check_states(state_dict, self.callbacks)
        callbacks = {callback.state_key: callback for callback in self.callbacks}
        for key, state in state_dict.items():
            callbacks[key].load_state_dict(state)


def check_states(states: Mapping[str, Any], callbacks: Iterable[Callback]) -> None:
    """Refuse the state of a callback, as a checkpoint holds it, that is not among the run's."""
    if unknown := states.keys() - {callback.state_key for callback in callbacks}:
        raise UserError(
            f"The checkpoint holds the state of {', '.join(sorted(unknown))}, which is not a callback of this run. "
            "Leave it in the config (callbacks.NAME), or start a new run from this state: "
            "ganrun resume RUN branch=true"
        )

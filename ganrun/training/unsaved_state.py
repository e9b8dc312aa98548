"""Warns of what a training changes in its model and no checkpoint holds."""

import logging
from collections.abc import Iterator
from numbers import Number

from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from ganrun.models.base import Adversarial

log = logging.getLogger(__name__)


class UnsavedState:
    """Compares the numbers and tensors that a model holds outside its state dict with those of the last checkpoint.

    A resumed training would start with their first values. Those of ganrun's and Lightning's base classes are saved or
    follow from others; a module with a `get_extra_state`, or a model with an `on_save_checkpoint`, saves its own.
    """

    def __init__(self, model: Adversarial):
        self.values = dict(unsaved_values(model))
        self.is_warned = False

    def warn_of_changes(self, model: Adversarial) -> None:
        """Log, once, which of the values have changed since the last call."""
        if self.is_warned:
            return
        values = dict(unsaved_values(model))
        changed = [name for name, value in values.items() if self.values.get(name, value) != value]
        self.values, self.is_warned = values, bool(changed)
        if changed:
            log.warning(
                "The training changes %s, which no checkpoint holds: a resumed training starts with the first value "
                "again. Make it a buffer, self.register_buffer(NAME, torch.tensor(VALUE)), and change that in place.",
                " and ".join(f"model.{name}" for name in changed),
            )


def unsaved_values(model: Adversarial) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text that changes with the value) of the numbers and tensors outside the state dict."""
    known = vars(Adversarial({}))
    for prefix, module in model.named_modules():
        is_saved = type(module).get_extra_state is not nn.Module.get_extra_state
        if is_saved or (module is model and is_overridden("on_save_checkpoint", model, Adversarial)):
            continue
        for name, value in vars(module).items():
            if isinstance(value, Number | Tensor) and not (module is model and name in known) and name != "training":
                yield f"{prefix}.{name}".lstrip("."), describe_value(value)


def describe_value(value: Number | Tensor) -> str:
    """Return a text that tells values apart: for a tensor its shape and sums, which are computed on its device."""
    if not isinstance(value, Tensor):
        return repr(value)
    x = value.detach().float()
    return f"{[*x.shape]} {x.sum().item()} {x.abs().sum().item()}"

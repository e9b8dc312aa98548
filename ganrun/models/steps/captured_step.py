"""One player's captured step, and how an optimizer is made capturable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class CapturedStep:
    """A captured optimizer step: what a replay reads besides the batch, and where it leaves its results.

    rates: the learning rates of the optimizer's groups with which it was captured, or that it was given last.
    learning_rates: the same on the device, where a replay reads them; empty without a schedule.
    """

    rates: list[float]
    learning_rates: list[Tensor]
    shapes: dict[str, torch.Size] = field(default_factory=dict)
    values: Tensor = field(default_factory=lambda: torch.empty(0))  # all terms, one after the other
    gradients: list[Tensor | None] = field(default_factory=list)
    replay: Callable[[], None] = lambda: None

    def store(self, terms: Mapping[str, Tensor]) -> None:
        self.shapes = {name: value.shape for name, value in terms.items()}
        self.values = concatenate_terms(terms)

    def set_rates(self, rates: list[float]) -> bool:
        """Give the next replays these learning rates. Returns whether they can have them."""
        if self.learning_rates and rates != self.rates:
            for on_device, rate in zip(self.learning_rates, rates, strict=True):
                on_device.fill_(rate)
            self.rates = rates
        return rates == self.rates

    def terms(self) -> dict[str, Tensor]:
        """Return the terms of the last replay, in float32 or float64, as copies that the next one does not change."""
        parts = self.values.clone().split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


def move_step_counts(optimizer, on_device: bool) -> None:
    """Move the optimizer's step counts to its weights' device, or back to where torch keeps them."""
    for group in optimizer.param_groups:
        for w in group["params"]:
            entry = optimizer.state.get(w, {})
            if torch.is_tensor(entry.get("step")):
                is_there = on_device or group.get("fused") or group.get("capturable")
                entry["step"] = entry["step"].to(w.device if is_there else "cpu")


@contextmanager
def capturable(optimizer, learning_rates: Sequence[Tensor]) -> Iterator[None]:
    """Have the optimizer compute on the device alone while a step is captured, with the learning rates given there."""
    groups = optimizer.param_groups
    settings = [dict(group) for group in groups]
    for group in groups:
        if "capturable" in group and any(w.is_cuda for w in group["params"]):
            group["capturable"] = True
    for group, learning_rate in zip(groups, learning_rates, strict=False):
        group["lr"] = learning_rate
    try:
        yield
    finally:
        for group, before in zip(groups, settings, strict=True):
            group.update(before)


def concatenate_terms(terms: Mapping[str, Tensor]) -> Tensor:
    """Return all values of the terms as one vector, in float32 or float64."""
    values = [value.detach().flatten() for value in terms.values()]
    return torch.cat([value.double() if value.dtype == torch.float64 else value.float() for value in values])

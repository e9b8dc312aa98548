"""A turn that was recorded, and how an optimizer lets itself be."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class CapturedStep:
    """A player's turn: what a replay reads beside the batch, and what it leaves behind."""

    rates: list[Tensor]  # of the optimizer's groups, where they change
    shapes: dict[str, torch.Size] = field(default_factory=dict)
    values: Tensor | None = None  # all terms, one after the other
    gradients: list[Tensor | None] = field(default_factory=list)
    replay: Callable[[], None] = lambda: None

    def store(self, terms: Mapping[str, Tensor]) -> None:
        self.shapes = {name: value.shape for name, value in terms.items()}
        self.values = concatenate_terms(terms)

    def terms(self) -> dict[str, Tensor]:
        """The terms of the latest replay, which the next one does not touch, in float32 at least."""
        parts = self.values.clone().split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


def move_step_counts(optimizer, on_device: bool) -> None:
    """Puts the counts of an optimizer's steps on the device, or where torch has them."""
    for group in optimizer.param_groups:
        for w in group["params"]:
            entry = optimizer.state.get(w, {})
            if torch.is_tensor(entry.get("step")):
                is_there = on_device or group.get("fused") or group.get("capturable")
                entry["step"] = entry["step"].to(w.device if is_there else "cpu")


@contextmanager
def capturable(optimizer, rates: Sequence[Tensor]) -> Iterator[None]:
    """Has the optimizer do all on the device for a while, and read its rates there where there are any."""
    groups = optimizer.param_groups
    own = [dict(group) for group in groups]
    for group in groups:
        if "capturable" in group and any(w.is_cuda for w in group["params"]):
            group["capturable"] = True
    for group, rate in zip(groups, rates, strict=False):
        group["lr"] = rate
    try:
        yield
    finally:
        for group, before in zip(groups, own, strict=True):
            group.update(before)


def concatenate_terms(terms: Mapping[str, Tensor]) -> Tensor:
    """All values, one after the other, in float32 at least."""
    flattened = [value.detach().flatten() for value in terms.values()]
    return torch.cat([part.double() if part.dtype == torch.float64 else part.float() for part in flattened])

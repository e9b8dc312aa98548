"""One side of the game."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Batch = Mapping[str, Tensor]  # x: examples [B, ...], y: labels [B]; or a, b: images [B, C, H, W] of two domains
Terms = Mapping[str, Tensor]


@dataclass
class Player:
    """One side of the game: its networks, its loss and how often it takes a step.

    name:   key of its optimizer in the config, and of its curves in TensorBoard: train/<name>/<term>
    nets:   networks whose weights it trains; all other weights are frozen during its turn
    loss:   batch -> scalar, or {"loss": scalar, other terms to log}, or None to sit out this turn: no step, and Adam's
            moments stay. All ranks, and all parts of an accumulated batch, must decide alike. A term of several values
            is logged as its mean. Discriminator scores under real and fake (or real_<side> and fake_<side>), as many of
            each, also give accuracy (or accuracy_<side>): the share of pairs in which the real example scores higher
    every:  takes its turn on every `every`-th batch; n_critic is the generator's `every`. Or a function: number of the
            batch, from 1 -> whether it takes its turn
    form:   name of the form that its next step has, if steps differ in more than their numbers, as with a penalty in
            every 16th step only. A CUDA graph is captured for each form
    """

    name: str
    nets: Iterable[nn.Module]
    loss: Callable[[Batch], Tensor | Terms | None]
    every: int | Callable[[int], bool] = 1
    form: Callable[[], Hashable] = lambda: None

    def moves_at(self, batch: int) -> bool:
        """Return whether the player takes its turn on the batch of this number, counted from 1."""
        return bool(self.every(batch)) if callable(self.every) else batch % self.every == 0


def as_terms(loss: Tensor | Terms) -> Terms:
    """Return a loss as a dict of terms."""
    return loss if isinstance(loss, Mapping) else {"loss": loss}


def regular_steps(seen: Mapping[str, Any], players: Sequence[Player]) -> dict[str, dict[str, int]]:
    """Return the counts of steps that a checkpoint without them implies: no turn was left out, batches were equal.

    seen: batches and images of the checkpoint.
    """
    steps = {p.name: seen["batches"] // p.every for p in players if isinstance(p.every, int)}
    each = seen["images"] // max(1, seen["batches"])
    images = {p.name: each * p.every * steps[p.name] for p in players if isinstance(p.every, int)}
    return {"steps": steps, "images_at_step": images}

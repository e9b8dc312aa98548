"""Stops a training whose numbers are none any more, before they are saved."""

import logging
import math
import shlex
from collections.abc import Mapping
from typing import NamedTuple

import torch
from pytorch_lightning import Callback
from torch import Tensor

from ganrun.errors import Failure
from ganrun.models.steps.skip_nonfinite import NonfiniteStepSkipper, grad_scaler
from ganrun.training.checkpoint import Manifest
from ganrun.training.run_record import RunRecord

log = logging.getLogger(__name__)
MAX_VALUES = 4096  # values of a term that are kept until the next look; of larger terms none are


class Turn(NamedTuple):
    """A player's terms on the device, and how many images and batches the model had seen after this turn."""

    player: str
    terms: Mapping[str, Tensor]
    images: int
    batches: int


class NanGuard(Callback):
    """Looks every `every` batches, and whenever `check` is called, for a loss, gradient or weight that is not finite.

    Between two looks it only holds on to each turn's terms, so that a step costs the device nothing and the first bad
    batch is known afterwards. A look is one transfer, and finds the same on all ranks.
    mode: "stop" ends the training at the first one found. "skip" does not take a turn whose gradient is not finite, at
    the price of waiting for the device once a turn, and ends the training after `skips` of one player in a row.
    Stands before LossCurves, which then show what was skipped, and before whatever scores, draws or saves the model.
    """

    def __init__(self, record: RunRecord, every: int, mode: str = "stop", skips: int = 10):
        self.record, self.every, self.skips = record, every, skips
        self.skipping = NonfiniteStepSkipper() if mode == "skip" else None
        self.told: set[str] = set()

    def state_dict(self) -> dict:
        return {"counts": self.skipping.counts, "in_a_row": self.skipping.in_a_row} if self.skipping else {}

    def load_state_dict(self, state: dict) -> None:
        if self.skipping and state:
            self.skipping.counts, self.skipping.in_a_row = dict(state["counts"]), dict(state["in_a_row"])

    def on_train_start(self, trainer, model):
        model.step_skipper = self.skipping
        self.turns: list[Turn] = []  # since the last look
        self.newest: dict[str, Mapping[str, Tensor]] = dict(model.terms)
        self.batches = model.batches_seen  # at the last look

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        for player, terms in model.terms.items():
            if terms is not self.newest.get(player):
                self.newest[player] = terms
                small = {name: value for name, value in terms.items() if value.numel() <= MAX_VALUES}
                self.turns.append(Turn(player, small, model.images_seen, model.batches_seen))
        if self.skipping:
            self._follow_skips(trainer, model)
        if model.batches_seen % self.every == 0:
            self.check(trainer, model)

    def on_train_end(self, trainer, model):
        self.check(trainer, model)

    @torch.no_grad()
    def check(self, trainer, model) -> None:
        """Raises Failure for a number that is not finite; costs nothing where no batch was trained on since."""
        if model.batches_seen == self.batches:
            return
        watched = [*turn_losses(self.turns), *gradient_norms(model, trainer, self.turns), *weight_norms(model)]
        values = torch.stack([value for _, value, _ in watched])
        values = trainer.strategy.reduce(values, reduce_op="sum").tolist()  # not finite where it is so on any rank
        for (name, _, turn), value in zip(watched, values, strict=True):
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "infinite"
                event = f"{name} became {kind} {describe_turn(turn)}{describe_other_terms(turn.terms)}"
                raise Failure(f"{event}. {self._way_on(model)}")
        self.turns, self.batches = [], model.batches_seen

    def _follow_skips(self, trainer, model) -> None:
        """Tells of each player's first skipped turn, shows how many there were, ends the training after too many."""
        now = describe_turn(Turn("", {}, model.images_seen, model.batches_seen))
        for player, count in self.skipping.counts.items():
            if player in model.terms:
                model.terms[player]["skipped"] = torch.tensor(float(count), device=model.device)
            if player not in self.told and trainer.is_global_zero:
                self.told.add(player)
                log.warning(
                    "train/%s/gradient is not finite %s: this turn and others like it are skipped.", player, now
                )
            if self.skipping.in_a_row[player] >= self.skips:
                found = f"train/{player}/gradient was not finite in {self.skips} turns in a row, the last"
                raise Failure(f"{found} {now}. {self._way_on(model)}")

    def _way_on(self, model) -> str:
        """The last good checkpoint, and the command that goes on from it."""
        rates = halved_rates(model)
        folder = self.record.folder / "checkpoints"
        last = Manifest.read(folder).last
        if last is None:
            return f"Nothing was saved yet. Start again with lower rates: {rates}"
        command = f"ganrun resume {shlex.quote(str(self.record.folder))} branch=true {rates}"
        return f"The last good checkpoint: {folder / last}. Go on from it with lower rates: {command}"


def turn_losses(turns: list[Turn]) -> list[tuple[str, Tensor, Turn]]:
    """Of each turn its loss: name, scalar, turn."""
    return [(f"train/{turn.player}/loss", turn.terms["loss"], turn) for turn in turns]


def gradient_norms(model, trainer, turns: list[Turn]) -> list[tuple[str, Tensor, Turn]]:
    """Of each player's last turn the gradient's norm: name, scalar, turn. A GradScaler lets it overflow: then none."""
    last = {} if grad_scaler(trainer) else {turn.player: turn for turn in turns}
    return [(f"train/{name}/gradient", model.gradient_norm(name), turn) for name, turn in last.items()]


def weight_norms(model) -> list[tuple[str, Tensor, Turn]]:
    """Of each parameter, averaged weight and buffer the largest magnitude: name, scalar, the turn that it is after."""
    now = Turn("", {}, model.images_seen, model.batches_seen)
    named = [*model.named_parameters(), *model.named_buffers()]
    named = [(name, weight) for name, weight in named if weight.is_floating_point() and weight.numel()]
    named.sort(key=lambda pair: pair[0].startswith("averaged."))  # what went wrong is the network, then its average
    largest = torch._foreach_norm([weight for _, weight in named], math.inf)
    return [(name, value, now) for (name, _), value in zip(named, largest, strict=True)]


def describe_turn(turn: Turn) -> str:
    return f"at {turn.images / 1000:.10g} kimg (batch {turn.batches})"


def describe_other_terms(terms: Mapping[str, Tensor]) -> str:
    """Which terms beside the loss are not finite, and which are: ", and so did real, but not fake"."""
    names = {True: [], False: []}
    for name, value in terms.items():
        if name not in ("loss", "skipped"):
            names[bool(value.isfinite().all())].append(name)
    good, bad = " or ".join(names[True]), " and ".join(names[False])
    return (f", and so did {bad}" if bad else "") + (f", but not {good}" if good else "")


def halved_rates(model) -> str:
    """The settings that would halve each player's learning rate."""
    groups = {
        player.name: each.param_groups[0] for player, each in zip(model.players(), model._optimizers, strict=True)
    }
    rates = {name: group.get("initial_lr", group["lr"]) for name, group in groups.items()}
    return " ".join(f"optimizers.{name}.lr={rate / 2:g}" for name, rate in rates.items())

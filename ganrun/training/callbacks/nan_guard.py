"""Stops a training on NaN or Inf, before the model is saved."""

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from ganrun.errors import Failure, ganrun_command
from ganrun.models.steps.skip_nonfinite import NonfiniteStepSkipper, grad_scaler
from ganrun.training.callbacks.base import RunCallback
from ganrun.training.manifest import Manifest

log = logging.getLogger(__name__)
MAX_VALUES = 4096  # terms of more values are not kept until the next check


class Turn(NamedTuple):
    """A player's terms on the device, and the images and batches that the model had seen after this step."""

    player: str
    terms: Mapping[str, Tensor]
    images: int
    batches: int


class NanGuard(RunCallback):
    """Checks every `every` batches, and before each scoring and save, for NaN or Inf in losses, gradients and weights.

    Between two checks it only keeps references to the terms, so a step costs nothing and the first bad batch is known.
    A check is one transfer from the device, with the same result on all ranks.
    mode: "stop" ends the training at the first NaN or Inf. "skip" leaves out a player's step if its gradient is not
    finite, which costs one GPU sync per step, and ends the training after `skips` of a player in a row.
    Comes before all that scores, draws or saves the model.
    """

    def __init__(self, every: int, mode: str = "stop", skips: int = 10):
        self.every, self.skips = every, skips
        self.skipping = NonfiniteStepSkipper() if mode == "skip" else None
        self.warned: set[str] = set()  # players

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.skipping.counts, "in_a_row": self.skipping.in_a_row} if self.skipping else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.skipping and state_dict:
            self.skipping.counts, self.skipping.in_a_row = dict(state_dict["counts"]), dict(state_dict["in_a_row"])

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.step_skipper = self.skipping
        self.turns: list[Turn] = []  # since the last check
        self.newest: dict[str, Mapping[str, Tensor]] = dict(pl_module.terms)
        self.batches = pl_module.batches_seen  # at the last check

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for player, terms in pl_module.terms.items():
            if terms is not self.newest.get(player):
                self.newest[player] = terms
                small = {name: value for name, value in terms.items() if value.numel() <= MAX_VALUES}
                self.turns.append(Turn(player, small, pl_module.images_seen, pl_module.batches_seen))
        if self.skipping:
            self._follow_skips(trainer, pl_module, self.skipping)
        if pl_module.batches_seen % self.every == 0:
            self.check(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.check(trainer, pl_module)

    @torch.no_grad()
    def check(self, trainer: Trainer, model) -> None:
        """Raise Failure on NaN or Inf. Costs nothing if no batch was trained on since the last check."""
        if model.batches_seen == self.batches:
            return
        last = {} if grad_scaler(trainer) else {turn.player: turn for turn in self.turns}  # a scaler skips overflows
        watched = [
            *((f"train/{turn.player}/loss", turn.terms["loss"], turn) for turn in self.turns),
            *((f"train/{name}/gradient", model.gradient_norm(name), turn) for name, turn in last.items()),
            *weight_norms(model),
        ]
        values = torch.stack([value for _, value, _ in watched])
        values = trainer.strategy.reduce(values, reduce_op="sum").tolist()  # not finite if it is so on any rank
        for (name, _, turn), value in zip(watched, values, strict=True):
            if not math.isfinite(value):
                kind = "NaN" if math.isnan(value) else "infinite"
                event = f"{name} became {kind} {describe_turn(turn)}{describe_other_terms(turn.terms)}"
                raise Failure(f"{event}. {self._advise(model)}")
        self.turns, self.batches = [], model.batches_seen

    def _follow_skips(self, trainer: Trainer, model, skipping: NonfiniteStepSkipper) -> None:
        """Warn of each player's first skipped step, end the training after too many in a row."""
        now = describe_turn(Turn("", {}, model.images_seen, model.batches_seen))
        for player in skipping.counts:
            if player not in self.warned and trainer.is_global_zero:
                self.warned.add(player)
                log.warning("train/%s/gradient is NaN or Inf %s: skipping this step and others like it.", player, now)
            if skipping.in_a_row[player] >= self.skips:
                event = f"train/{player}/gradient was NaN or Inf in {self.skips} steps in a row, the last"
                raise Failure(f"{event} {now}. {self._advise(model)}")

    def _advise(self, model) -> str:
        """Name the last good checkpoint, and the command that continues from it."""
        rates, run_dir = halved_rates(model), self.run.record.folder
        self.run.checkpoint_io.wait()  # a save may be under way
        if last := Manifest.read(run_dir / "checkpoints").last:
            command = f"{ganrun_command('resume', run_dir, 'branch=true')} {rates}"
            path = run_dir / "checkpoints" / last
            return f"The last good checkpoint is {path}. Continue from it with lower learning rates: {command}"
        return f"Nothing was saved yet. Start again with lower learning rates: {rates}"


def weight_norms(model) -> list[tuple[str, Tensor, Turn]]:
    """Return (name, largest magnitude, the turn before) of each parameter, averaged weight and buffer."""
    now = Turn("", {}, model.images_seen, model.batches_seen)
    named = [*model.named_parameters(), *model.named_buffers()]
    named = [(name, weight) for name, weight in named if weight.is_floating_point() and weight.numel()]
    named.sort(key=lambda pair: pair[0].startswith("averaged."))  # the network is the cause, its average follows
    largest = torch._foreach_norm([weight for _, weight in named], math.inf)  # pyright: ignore[reportPrivateImportUsage]
    return [(name, value, now) for (name, _), value in zip(named, largest, strict=True)]


def describe_turn(turn: Turn) -> str:
    return f"at {turn.images / 1000:.10g} kimg (batch {turn.batches})"


def describe_other_terms(terms: Mapping[str, Tensor]) -> str:
    """Say which terms other than the loss became NaN or Inf, and which did not: ", and so did real, but not fake"."""
    is_finite = {name: bool(x.isfinite().all()) for name, x in terms.items() if name != "loss"}
    good = " or ".join(name for name in is_finite if is_finite[name])
    bad = " and ".join(name for name in is_finite if not is_finite[name])
    return (f", and so did {bad}" if bad else "") + (f", but not {good}" if good else "")


def halved_rates(model) -> str:
    """Return the overrides that halve each player's learning rate."""
    overrides = []
    for player, optimizer in zip(model.players(), model._optimizers, strict=True):
        group = optimizer.param_groups[0]
        overrides.append(f"optimizers.{player.name}.lr={group.get('initial_lr', group['lr']) / 2:g}")
    return " ".join(overrides)

"""The players' losses during a training, and curves that show which player is ahead."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from ganrun.models.losses import at_least_float32
from ganrun.models.player import Terms
from ganrun.training.callbacks.base import RunCallback

PROBABILITY = "probability_"  # curves of D(x) start so
MOST_HELD = 2**20  # numbers that wait on the device for the next point


class LossCurves(RunCallback):
    """Gives the loggers and the record of the run the means of the players' terms over each `every` batches.

    Each turn counts once; a rare term, such as a penalty in each 16th turn, counts where it is. A gradient's norm takes
    a pass over all weights: it is that of the last turn. Between two points, this only keeps references to the terms.
    latest: the newest value of each curve, {"train/<player>/<term>": value}.
    """

    def __init__(self, every: int):
        self.every = every
        self.latest: dict[str, float] = {}
        self.clock: dict[str, Any] = {}  # the run's clock before it was resumed
        self.turns: dict[str, list[Terms]] = {}  # player -> terms that are still on the device
        self.held = 0  # numbers in them
        self.values: dict[str, list[float]] = {}  # curve -> those read since the last point, one per turn

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.run.record.restart_clock(**(self.clock or {"first": pl_module.images_seen}))  # a branch has its own clock
        self.newest: dict[str, Terms] = dict(pl_module.terms)  # player -> the terms of its last turn

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for player, terms in pl_module.terms.items():
            if terms is not self.newest.get(player):
                self.newest[player] = terms
                self.turns.setdefault(player, []).append(terms)
                self.held += sum(value.numel() for value in terms.values())
        if pl_module.batches_seen % self.every == 0:
            self._log(trainer, pl_module)
            self.values = {}
        elif self.held > MOST_HELD:
            self._read(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        is_new = pl_module.batches_seen % self.every and pl_module.terms  # no terms: interrupted after the last batch
        if is_new and (self.turns or self.values):
            self._log(trainer, pl_module)  # the values stay: resumed, the run has a point after `every` batches

    def state_dict(self) -> dict[str, Any]:
        record = self.run.record
        self._read(self.run.experiment.model)
        clock = {"seconds": record.seconds, "overhead_seconds": record.overhead_seconds, "first": record.first}
        return {**clock, "values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.values = {name: [*values] for name, values in state_dict.get("values", {}).items()}
        clock = {name: value for name, value in state_dict.items() if name != "values"}
        self.clock = {"overhead_seconds" if name == "aside" else name: value for name, value in clock.items()}

    def _log(self, trainer: Trainer, model) -> None:
        moved = {*self.turns} | {name.split("/")[1] for name in self.values}
        norms = self._read(model, gradient_norms(model, moved))
        point = {name: exact_mean(values) for name, values in self.values.items()} | norms
        if model.step_skipper:
            point |= {f"train/{player}/skipped": float(n) for player, n in model.step_skipper.counts.items()}
        self.latest |= point
        record = self.run.record
        record.images = model.images_seen
        if trainer.is_global_zero:
            record.add_curves(model.images_seen, point)
            for logger in trainer.loggers:
                group = "train/" if isinstance(logger, TensorBoardLogger) else ""  # which opens the first groups only
                speed = {f"{group}images_per_second": record.images_per_second}
                logger.log_metrics({**point, **speed}, step=model.images_seen)

    def _read(self, model, scalars: Mapping[str, Tensor] | None = None) -> dict[str, float]:
        """Read the kept terms from the device, and these scalars, which it returns, in the same transfer."""
        curves = [
            (f"train/{player}/{name}", means)
            for player, turns in self.turns.items()
            for group in alike(turns)
            for name, means in turn_means(model, group).items()
        ]
        self.turns, self.held = {}, 0
        scalars = scalars or {}
        vectors = [*(means for _, means in curves), *(value.reshape(1) for value in scalars.values())]
        numbers = iter(torch.cat(vectors).tolist() if vectors else [])
        for name, means in curves:
            self.values.setdefault(name, []).extend(islice(numbers, len(means)))
        return dict(zip(scalars, numbers, strict=True))


def alike(turns: Sequence[Terms]) -> list[list[Terms]]:
    """Return the turns in groups of those that have the same terms, of the same shapes."""
    groups: dict[tuple, list[Terms]] = {}
    for terms in turns:
        groups.setdefault(tuple((name, value.shape) for name, value in terms.items()), []).append(terms)
    return [*groups.values()]


def turn_means(model, turns: Sequence[Terms]) -> dict[str, Tensor]:
    """Return what n turns with the same terms say, on the device: {curve: means [n]}.

    That is the mean of each term, of D(x), and the discriminator's accuracy.
    """
    terms = {name: torch.stack([own[name] for own in turns]) for name in turns[0]}
    curves = terms | probabilities(model, terms) | pair_accuracies(terms)
    return {name: at_least_float32(value).reshape(len(turns), -1).mean(1) for name, value in curves.items()}


def gradient_norms(model, players: Iterable[str]) -> dict[str, Tensor]:
    """Return the norm of the gradient of these players' last turns, if they have one, as scalars on the device."""
    return {
        f"train/{player}/gradient": model.gradient_norm(player)
        for player in players
        if any(w.grad is not None for w in model.parameters_of[player])  # none after a turn that it sat out
    }


def exact_mean(values: Sequence[float]) -> float:
    """Return the mean, rounded once: it does not depend on the order or on where a run was interrupted."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def probabilities(model, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return {"probability_real": D(x), "probability_fake": D(G(z))}, each of its scores' shape.

    The objective of the model, or the model itself, has the map `probability` from scores to D(x), the probability that
    x is real. {} if it has none: where the loss gives scores no such meaning.
    """
    probability = getattr(getattr(model, "objective", model), "probability", None)
    if not probability:
        return {}
    sides = [name for name in terms if name.split("_")[0] in ("real", "fake")]
    return {f"{PROBABILITY}{name}": probability(terms[name]) for name in sides}


def pair_accuracies(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return {"accuracy": 1 for each pair (i-th real, i-th fake) of n turns whose real one scores higher, else 0}.

    Shape: that of the scores, [n, ...]. Ties count half. The mean estimates the probability that a real example ranks
    above a fake one, whatever the loss: .5 if they cannot be told apart, 1 if they always are, NaN if a score is NaN.
    real_a and fake_a give accuracy_a.
    """
    accuracies = {}
    for side in (name.removeprefix("real") for name in terms if name.split("_")[0] == "real"):
        real, fake = terms[f"real{side}"], terms.get(f"fake{side}")
        if fake is not None and real.ndim > 1 and real.shape == fake.shape:  # not means: only single scores form pairs
            gap = at_least_float32(real) - at_least_float32(fake)
            is_above = 0.5 * ((gap > 0).float() + (gap >= 0).float())
            accuracies[f"accuracy{side}"] = torch.where(gap.isnan(), gap, is_above)
    return accuracies

"""The players' losses during a training, and curves that show which player is ahead."""

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from ganrun.models.losses import at_least_float32
from ganrun.training.callbacks.base import RunCallback

PROBABILITY = "probability_"  # curves of D(x) start so


class LossCurves(RunCallback):
    """Reads the players' terms from the device every `every` batches, for the loggers and the record of the run.

    A term that some steps lack, such as a penalty in each 16th, is read with its last value since the last reading.
    latest: the last reading, {"train/<player>/<term>": value}.
    """

    def __init__(self, every: int):
        self.every = every
        self.latest: dict[str, float] = {}
        self.clock: dict[str, Any] = {}  # the run's clock before it was resumed
        self.unread: dict[
            str, Mapping[str, Tensor]
        ] = {}  # player -> its newest terms, rare ones since the last reading

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.run.record.restart_clock(**(self.clock or {"first": pl_module.images_seen}))  # a branch has its own clock

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for player, terms in pl_module.terms.items():
            self.unread[player] = join_rare_terms(self.unread.get(player, {}), terms)
        if pl_module.batches_seen % self.every == 0:
            self._log(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if pl_module.batches_seen % self.every and pl_module.terms:  # no terms: interrupted after the last batch
            self._log(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        record = self.run.record
        return {"seconds": record.seconds, "overhead_seconds": record.overhead_seconds, "first": record.first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.clock = {"overhead_seconds" if key == "aside" else key: value for key, value in state_dict.items()}

    def _log(self, trainer: Trainer, model) -> None:
        terms, record = mean_terms(model, self.unread), self.run.record
        self.unread = {}
        self.latest = dict(zip(terms, torch.stack([*terms.values()]).tolist(), strict=True)) if terms else {}
        record.images = model.images_seen
        if trainer.is_global_zero:
            record.add_curves(model.images_seen, self.latest)
            for logger in trainer.loggers:
                group = "train/" if isinstance(logger, TensorBoardLogger) else ""  # which opens the first groups only
                speed = {f"{group}images_per_second": record.images_per_second}
                logger.log_metrics({**self.latest, **speed}, step=model.images_seen)


def join_rare_terms(earlier: Mapping[str, Tensor], terms: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the terms of a step, and those of earlier steps that this one lacks."""
    return terms if earlier.keys() <= terms.keys() else {**earlier, **terms}


def mean_terms(model, newest: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each player's terms, of D(x), its accuracy and its gradient norm, as scalars on the device."""
    curves = {}
    for player, terms in newest.items():
        means = {name: at_least_float32(value).mean() for name, value in terms.items()}
        means |= mean_probabilities(model, terms) | pair_accuracies(terms)
        curves |= {f"train/{player}/{name}": value for name, value in means.items()}
        if any(w.grad is not None for w in model.parameters_of[player]):  # none after a turn that it sat out
            curves[f"train/{player}/gradient"] = model.gradient_norm(player)
    return curves


def mean_probabilities(model, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return {"probability_real": mean of D(x), "probability_fake": mean of D(G(z))}.

    The objective of the model, or the model itself, has the map `probability` from scores to D(x), the probability that
    x is real. {} if it has none: where the loss gives scores no such meaning.
    """
    probability = getattr(getattr(model, "objective", model), "probability", None)
    if not probability:
        return {}
    sides = [name for name in terms if name.split("_")[0] in ("real", "fake")]
    return {f"{PROBABILITY}{name}": probability(terms[name]).mean() for name in sides}


def pair_accuracies(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return {"accuracy": share of the pairs (i-th real, i-th fake) in which the real one scores higher}.

    Ties count half. It estimates the probability that a real example ranks above a fake one, whatever the loss: .5 if
    they cannot be told apart, 1 if they always are, NaN if a score is NaN. real_a and fake_a give accuracy_a.
    """
    accuracies = {}
    for side in (name.removeprefix("real") for name in terms if name.split("_")[0] == "real"):
        real, fake = terms[f"real{side}"], terms.get(f"fake{side}")
        if fake is not None and real.ndim and real.shape == fake.shape:  # not means: only single scores form pairs
            gap = at_least_float32(real) - at_least_float32(fake)
            is_above = 0.5 * ((gap > 0).float() + (gap >= 0).float())
            accuracies[f"accuracy{side}"] = torch.where(gap.isnan(), gap, is_above).mean()
    return accuracies

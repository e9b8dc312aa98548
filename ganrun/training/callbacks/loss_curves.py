"""The losses while training, and what tells how the game stands."""

from collections.abc import Mapping

import torch
from pytorch_lightning import Callback
from torch import Tensor

from ganrun.models.losses import at_least_float32
from ganrun.training.run_record import RunRecord


class LossCurves(Callback):
    """Reads the players' terms from the device every `every` batches and hands them to the logger and the record.

    `latest` keeps the last reading: {"train/<player>/<term>": value}.
    """

    def __init__(self, record: RunRecord, every: int):
        self.record, self.every = record, every
        self.latest: dict[str, float] = {}
        self.before: dict[str, float] = {}  # the clock of the run before it went on

    def on_train_start(self, trainer, model):
        self.record.restart_clock(**(self.before or {"first": model.images_seen}))  # a branch has a clock of its own

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if model.batches_seen % self.every == 0:
            self._read(trainer, model)

    def on_train_end(self, trainer, model):
        if model.batches_seen % self.every and model.terms:  # none in a run that was stopped after its last batch
            self._read(trainer, model)

    def state_dict(self) -> dict:
        return {
            "seconds": self.record.seconds,
            "overhead_seconds": self.record.overhead_seconds,
            "first": self.record.first,
        }

    def load_state_dict(self, state: dict) -> None:
        self.before = {"overhead_seconds" if name == "aside" else name: value for name, value in state.items()}

    def _read(self, trainer, model) -> None:
        found = mean_terms(model)
        self.latest = dict(zip(found, torch.stack([*found.values()]).tolist(), strict=True)) if found else {}
        self.record.images = model.images_seen
        if trainer.is_global_zero:
            self.record.add_curves(model.images_seen, self.latest)
            for logger in trainer.loggers:
                speed = {"images_per_second": self.record.images_per_second}
                logger.log_metrics({**self.latest, **speed}, step=model.images_seen)


def mean_terms(model) -> dict[str, Tensor]:
    """Each player's terms as means, its accuracy where it scores pairs, its gradient's norm: scalars on the device."""
    found = {}
    for player, terms in model.terms.items():
        own = {name: at_least_float32(value).mean() for name, value in terms.items()}
        own |= {**pair_accuracies(terms), "gradient": model.gradient_norm(player)}
        found |= {f"train/{player}/{name}": value for name, value in own.items()}
    return found


def pair_accuracies(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{"accuracy": the share of pairs, i-th real and i-th fake, in which the real one scores higher}; ties count half.

    An estimate of the probability that a real example is ranked above a fake one, whatever the loss: .5 where they
    cannot be told apart, 1 where they always are, nan where a score is. real_a and fake_a give accuracy_a.
    """
    found = {}
    for side in (name.removeprefix("real") for name in terms if name.split("_")[0] == "real"):
        real, fake = terms[f"real{side}"], terms.get(f"fake{side}")
        if fake is not None and real.ndim and real.shape == fake.shape:  # a mean has no pairs
            gap = at_least_float32(real) - at_least_float32(fake)
            is_above = 0.5 * ((gap > 0).float() + (gap >= 0).float())
            found[f"accuracy{side}"] = torch.where(gap.isnan(), gap, is_above).mean()
    return found

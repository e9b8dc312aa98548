"""What a callback of ganrun gets from its run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig
from pytorch_lightning import Callback

from ganrun.config.experiment import Experiment
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_record import RunRecord

C = TypeVar("C", bound=Callback)


@dataclass
class RunContext:
    """The objects of a run.

    choices: the choice in each config group.  resumed_from: the checkpoint that the training continues from.
    callbacks: all of them, in order.
    """

    experiment: Experiment
    record: RunRecord
    choices: Mapping[str, str]
    checkpoint_io: DurableIO
    resumed_from: Path | None = None
    callbacks: Sequence[Callback] = ()

    @property
    def cfg(self) -> DictConfig:
        return self.experiment.cfg

    def find(self, kind: type[C]) -> C:
        """Return the run's callback of that class."""
        return next(callback for callback in self.callbacks if isinstance(callback, kind))

    @property
    def own_callbacks(self) -> list["RunCallback"]:
        return [callback for callback in self.callbacks if isinstance(callback, RunCallback)]


class RunCallback(Callback):
    """A callback that works with the objects of its run: `self.run`, bound before the training starts.

    acts_last: after all others, wherever it is in the config, as it saves their states.
    needs_all_scores: what it does depends on the scores at all marks, so that none may be left out to save time.
    """

    run: RunContext
    acts_last = False
    needs_all_scores = False

    def is_needed(self, run: RunContext) -> bool:
        """Return whether the run uses this callback; one that it does not use is left out."""
        return True

    def seconds_at_end(self) -> float:
        """Return the seconds that its work after the last batch takes, as far as they are known."""
        return 0.0

    def announce(self, text: str) -> None:
        """Take note of work that now takes time beside the training."""

    def bind(self, run: RunContext) -> None:
        """Take what is needed from the run. All its callbacks are known by now, those after this one not yet bound."""
        self.run = run

"""Ends a training that has collapsed or diverged."""

import logging
from typing import Any

from pytorch_lightning import Trainer

from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.diagnosis import MIN_SCORES

log = logging.getLogger(__name__)


class Stopping(RunCallback):
    """Ends the training after a scoring by which the samples have collapsed, or the scores have diverged, for good.

    That is where at least MIN_SCORES scores do not get better. on_collapse, on_diverge: "stop" or "continue".
    The end is that of any training: final scores, pictures and a checkpoint. The best checkpoint is kept.
    """

    def __init__(self, on_collapse: str = "continue", on_diverge: str = "continue"):
        actions = {"collapsed": ("on_collapse", on_collapse), "diverged": ("on_diverge", on_diverge)}
        self.final_states = {state: setting for state, (setting, action) in actions.items() if action == "stop"}
        self.judged_at: float | None = None

    def is_needed(self, run: RunContext) -> bool:
        return bool(self.final_states)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.judged_at = self.run.record.last.get("kimg")  # a run that goes on is judged by its next scores

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        record = self.run.record
        if self.judged_at == record.last.get("kimg"):
            return
        self.judged_at = record.last.get("kimg")
        diagnosis = record.diagnosis()
        is_lasting = len(record.history) >= MIN_SCORES and not diagnosis.command
        if diagnosis.state in self.final_states and is_lasting:
            record.facts["ended"] = diagnosis.state
            log.warning("The training ends here, as %s=stop: %s", self.final_states[diagnosis.state], diagnosis.summary)
            trainer.should_stop = True

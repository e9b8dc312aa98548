"""Scores during a training."""

import logging
import math
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import nn

from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.signals import Signals

log = logging.getLogger(__name__)
MAX_SHARE = 0.1  # share of the training time that scoring may take without a warning
MIN_SECONDS = 60  # a warning needs at least this much training


class Evaluation(RunCallback):
    """Scores the model by the run's suite at regular intervals, and with more samples at the end.

    The scores go to the loggers and the record. A signal stops a scoring, which then stays due.
    """

    def __init__(self, every_kimg: float | None = None):
        self.cadence = Cadence(every_kimg)
        self.seconds, self.marks, self.has_warned = 0.0, 0, False

    def is_needed(self, run: RunContext) -> bool:
        return run.experiment.suite is not None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.cadence.start(pl_module)
        self.images_at_start = pl_module.images_seen
        if self.run.record.last.get("kimg") != pl_module.images_seen / 1000:  # else a former end, scored, and extended
            self._score_if_due(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._score_if_due(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not self._score(trainer, pl_module, is_final=True):
            return
        scores = self.run.record.best.items()
        # TensorBoard's table has two columns of a score: val/x for the last and best/x for the best checkpoint
        best = {f"best/{name.removeprefix('val/')}": value for name, value in scores if name != "kimg"}
        if best and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(best, step=pl_module.images_seen)

    def state_dict(self) -> dict[str, Any]:
        return self.cadence.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cadence.load_state_dict(state_dict)

    def _score_if_due(self, trainer: Trainer, model) -> None:
        if not self.cadence.is_due(model) or model.progress >= 1:
            return
        before = self.run.record.overhead_seconds
        if self._score(trainer, model, is_final=False):
            self.cadence.mark_done(model)
            self.seconds, self.marks = self.seconds + self.run.record.overhead_seconds - before, self.marks + 1
            if trainer.is_global_zero:
                self._warn_if_slow(model)

    def _score(self, trainer: Trainer, model, is_final: bool) -> bool:
        """Score the model; return False if a signal stopped it."""
        suite, data, record = self.run.experiment.suite, self.run.experiment.data, self.run.record
        self.run.find(NanGuard).check(trainer, model)
        with record.outside_training():
            share_norm_statistics(model, trainer)
            scores = self.run.find(Signals).unless_stopped(lambda: suite.score(model, data, is_final=is_final))
        if scores is None:
            return False
        training = {"averaged_weights": bool(model.averaged), "trained_in": trainer.precision}
        protocol = {**suite.protocol(data), **training}
        record.add_scores(model.images_seen, scores, protocol, suite.collapsed(scores))
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=model.images_seen)
        return True

    def _warn_if_slow(self, model) -> None:
        """Warn once if scoring takes more than its share of the time, with the settings that reduce it."""
        suite, training = self.run.experiment.suite, self.run.record.seconds - self.run.record.overhead_seconds
        share = self.seconds / max(training, 1e-9)
        if self.has_warned or self.marks < 2 or training < MIN_SECONDS or share <= MAX_SHARE:
            return
        self.has_warned = True
        interval = (model.images_seen - self.images_at_start) / 1000 / self.marks
        kimg = round_to_two_digits(interval * share / MAX_SHARE, math.ceil)
        samples = round_to_two_digits(suite.samples * MAX_SHARE / share, math.floor)
        enough = suite.extractor.num_features if hasattr(suite, "extractor") else 2  # else a covariance lacks rank
        fewer = f"metrics.samples={samples:.10g} or " if samples >= enough else ""
        log.warning(
            "Scoring took %.0f %% of the training time. %svalidate_kimg=%.10g would reduce it to 10 %%.",
            *(100 * share, fewer, kimg),
        )


def round_to_two_digits(value: float, rounding) -> float:
    """Return the value with two significant digits. rounding: math.ceil or math.floor."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return rounding(value / step) * step


def share_norm_statistics(model: nn.Module, trainer: Trainer) -> None:
    """Give all ranks the BatchNorm statistics of the first, so that they score the network that is saved."""
    for norm in model.modules() if trainer.world_size > 1 else ():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            for buffer in norm.buffers():
                torch.distributed.broadcast(buffer, 0)

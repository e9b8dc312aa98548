"""Scores while training."""

import logging
import math

import torch
from pytorch_lightning import Callback
from torch import nn

from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.hparams import best_tag
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.signals import Signals
from ganrun.training.run_record import RunRecord

log = logging.getLogger(__name__)
MAX_SHARE = 0.1  # of the training's time that scoring may take before the run says so
MIN_SECONDS = 60  # seconds of training that are too few to advise on


class Evaluation(Callback):
    """Scores the model by a suite at every mark, and by more at the end; hands the scores to loggers and record."""

    def __init__(self, suite, data, record: RunRecord, every_kimg: float | None, guard: NanGuard, signals: Signals):
        """guard: checks the model before each scoring.   signals: end a scoring, which then stays due."""
        self.suite, self.data, self.record, self.guard, self.signals = suite, data, record, guard, signals
        self.cadence = Cadence(every_kimg)
        self.seconds, self.marks, self.has_warned = 0.0, 0, False

    def on_train_start(self, trainer, model):
        self.cadence.start(model)
        self.images_at_start = model.images_seen
        if self.record.last.get("kimg") != model.images_seen / 1000:  # else an end that was scored, and has moved
            self._score(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self._score(trainer, model)

    def on_train_end(self, trainer, model):
        if not self._evaluate(trainer, model, is_final=True):
            return
        best = {best_tag(name): value for name, value in self.record.best.items() if name != "kimg"}
        if best and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(best, step=model.images_seen)

    def state_dict(self) -> dict:
        return self.cadence.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.cadence.load_state_dict(state)

    def _score(self, trainer, model) -> None:
        if not self.cadence.is_due(model) or model.progress >= 1:
            return
        before = self.record.overhead_seconds
        if not self._evaluate(trainer, model, is_final=False):
            return
        self.cadence.done(model)
        self.seconds, self.marks = self.seconds + self.record.overhead_seconds - before, self.marks + 1
        if trainer.is_global_zero:
            self._warn_of_time(model)

    def _evaluate(self, trainer, model, is_final: bool) -> bool:
        """Whether it was done."""
        self.guard.check(trainer, model)
        with self.record.outside_training():
            share_norm_statistics(model, trainer)
            scores = self.signals.unless_stopped(lambda: self.suite.score(model, self.data, is_final=is_final))
        if scores is None:
            return False
        protocol = {**self.suite.protocol(self.data), "averaged_weights": bool(model.averaged)}
        self.record.images = model.images_seen
        self.record.add_scores(model.images_seen, scores, protocol, self.suite.collapsed(scores))
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=model.images_seen)
        return True

    def _warn_of_time(self, model) -> None:
        """Says once that scoring takes more than its share, and the settings that would mend it."""
        training = self.record.seconds - self.record.overhead_seconds
        share = self.seconds / max(training, 1e-9)
        if self.has_warned or self.marks < 2 or training < MIN_SECONDS or share <= MAX_SHARE:
            return
        self.has_warned = True
        interval = (model.images_seen - self.images_at_start) / 1000 / self.marks
        kimg = round_to_two_digits(interval * share / MAX_SHARE, math.ceil)
        samples = round_to_two_digits(self.suite.samples * MAX_SHARE / share, math.floor)
        fewer = f"metrics.samples={samples:.10g} or " if samples >= min_samples(self.suite) else ""
        log.warning(
            "Scoring took %.0f %% of the training's time. %svalidate_kimg=%.10g would make it a tenth.",
            *(100 * share, fewer, kimg),
        )


def min_samples(suite) -> int:
    """Fewest samples that are worth to be scored: of fewer than there are features the covariance is rank deficient."""
    return suite.extractor.num_features if hasattr(suite, "extractor") else 2


def round_to_two_digits(value: float, rounding) -> float:
    """The value with two digits that count; rounding: math.ceil or math.floor."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return rounding(value / step) * step


def share_norm_statistics(model: nn.Module, trainer) -> None:
    """Gives all ranks the first one's BatchNorm statistics, so that they score one network, the one that is saved."""
    if trainer.world_size == 1:
        return
    norms = (module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    for buffer in (buffer for norm in norms for buffer in norm.buffers()):
        torch.distributed.broadcast(buffer, 0)

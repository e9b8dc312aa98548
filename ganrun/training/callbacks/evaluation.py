"""Scores during a training."""

import logging
import math
from functools import partial
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn

from ganrun.config import build
from ganrun.metrics.sampling import isolated_rng
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.signals import Signals

log = logging.getLogger(__name__)
MAX_SHARE = 0.1  # of the training time that scoring may take without a warning
MIN_SECONDS = 10  # of scoring that a run may take whatever its share
BATCHES_HELD_BACK = 20  # between two looks at the clock, which several ranks wait for
MONITORED = "monitored"  # a group of one score: TensorBoard opens the first groups by their letters, and not val
THINNED = "Some scorings are left out, so that they take at most %g %% of the run (callbacks.evaluation.max_share)."


class Evaluation(RunCallback):
    """Scores the model by the run's suite at regular intervals, and with more scores at the end.

    The scores go to the loggers and the record. A signal stops a scoring, which then stays due. So does one by which
    scoring would take more than `max_share` of the run's time, as slow scores must not eat the run; unless every_kimg
    sets the intervals, or a callback needs all scores. The protocol counts the scorings that were left out so.
    """

    def __init__(self, every_kimg: float | None = None, max_share: float = 0.25):
        self.cadence, self.max_share = Cadence(every_kimg), max_share
        self.seconds, self.marks, self.has_warned = 0.0, 0, False
        self.left_out, self.is_held_back, self.is_finished = 0, False, False

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
        self._count_left_out(pl_module)
        if not self._score(trainer, pl_module, is_final=True):
            return
        self.is_finished = True
        self._score_untrained(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {**self.cadence.state_dict(), "left_out": self.left_out}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cadence.load_state_dict(state_dict)
        self.left_out = state_dict.get("left_out", 0)  # version 0.1 left none out

    def seconds_at_end(self) -> float:
        return 0.0 if self.is_finished else self.seconds_each

    @property
    def seconds_each(self) -> float:
        return self.seconds / self.marks if self.marks else 0.0

    def _score_if_due(self, trainer: Trainer, model) -> None:
        if not self.cadence.is_due(model) or model.progress >= 1:
            return
        if self.is_held_back and model.batches_seen % BATCHES_HELD_BACK:
            return
        if not self._is_affordable(trainer, model):
            self.is_held_back = True
            return
        before = self.run.record.overhead_seconds
        self._count_left_out(model)
        if self._score(trainer, model, is_final=False):
            self.cadence.mark_done(model)
            self.seconds, self.marks = self.seconds + self.run.record.overhead_seconds - before, self.marks + 1
            if trainer.is_global_zero:
                self._warn_if_slow(model)

    def _count_left_out(self, model) -> None:
        """Count the marks that were passed while scoring was held back, but for the one that is scored now."""
        if self.is_held_back:
            self.left_out, self.is_held_back = self.left_out + self.cadence.passed(model) - 1, False

    def _is_affordable(self, trainer: Trainer, model) -> bool:
        """Return whether scoring keeps to its share of the time with another one that takes as long as those so far."""
        each = self.seconds_each
        allowed = max(MIN_SECONDS, self.max_share * (self.run.record.seconds + each))
        is_affordable = self._keeps_all_marks() or self.seconds + each <= allowed
        if trainer.world_size > 1:  # all ranks score together, so they use the clock of the first
            return bool(trainer.strategy.broadcast(torch.tensor(is_affordable, device=model.device)).item())
        return is_affordable

    def _keeps_all_marks(self) -> bool:
        return self.cadence.every_kimg is not None or any(c.needs_all_scores for c in self.run.own_callbacks)

    def _score_untrained(self, trainer: Trainer, model) -> None:
        """Score the model as it was before its training, if scores without a trend leave open whether it has learnt."""
        record, experiment = self.run.record, self.run.experiment
        if record.diagnosis().state != "converged":
            return
        self._announce(is_final=False)
        with isolated_rng(experiment.cfg.seed):
            untrained = build.build_model(experiment.cfg, experiment.data).to(model.device)
        score = partial(experiment.suite.score, untrained, experiment.data)
        record.untrained = (self.run.find(Signals).unless_stopped(score) or {}).get(record.monitor)

    def _announce(self, is_final: bool) -> None:
        """Say that scoring takes time now: it may take long enough to look like a standstill."""
        each = self.seconds_each
        notes = ["last"] if is_final else []
        notes += [f"about {each:.0f} s"] if each >= 1 else []
        for callback in self.run.own_callbacks:
            callback.announce(f"scoring ({', '.join(notes)})" if notes else "scoring")

    def _score(self, trainer: Trainer, model, is_final: bool) -> bool:
        """Score the model; return False if a signal stopped it."""
        suite, data, record = self.run.experiment.suite, self.run.experiment.data, self.run.record
        self.run.find(NanGuard).check(trainer, model)
        self._announce(is_final)
        with record.outside_training():
            share_norm_statistics(model, trainer)
            scores = self.run.find(Signals).unless_stopped(lambda: suite.score(model, data, is_final=is_final))
        if scores is None:
            return False
        training = {"averaged_weights": bool(model.averaged), "trained_in": trainer.precision}
        protocol = {**suite.protocol(data), **training, **({"left_out": self.left_out} if self.left_out else {})}
        collapsed = suite.collapsed(scores) if record.has_opponents else None  # no game, no collapse
        record.add_scores(model.images_seen, scores, protocol, collapsed)
        monitored = {
            f"{MONITORED}/{name.removeprefix('val/')}": scores[name] for name in scores if name == record.monitor
        }
        for logger in trainer.loggers if trainer.is_global_zero else ():
            own = monitored if isinstance(logger, TensorBoardLogger) else {}
            logger.log_metrics({**scores, **own}, step=model.images_seen)
        return True

    def _warn_if_slow(self, model) -> None:
        """Warn once if scoring takes more than its share of the time, with the settings that reduce it."""
        suite, training = self.run.experiment.suite, self.run.record.seconds - self.run.record.overhead_seconds
        share = self.seconds / max(training, 1e-9)
        if self.has_warned or self.seconds < MIN_SECONDS or share <= MAX_SHARE:
            return
        self.has_warned = True
        interval = (model.images_seen - self.images_at_start) / 1000 / self.marks
        kimg = round_to_two_digits(interval * share / MAX_SHARE, math.ceil)
        samples = round_to_two_digits(suite.samples * MAX_SHARE / share, math.floor)
        enough = suite.extractor.num_features if hasattr(suite, "extractor") else 2  # else a covariance lacks rank
        fewer = f"metrics.samples={samples:.10g} or " if samples >= enough else ""
        thinned = not self._keeps_all_marks() and self.seconds > self.max_share * self.run.record.seconds
        log.warning(
            "Scoring took %.0f %% of the training time. %s%svalidate_kimg=%.10g would reduce it to 10 %%.",
            *(100 * share, f"{THINNED % (100 * self.max_share)} " if thinned else "", fewer, kimg),
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

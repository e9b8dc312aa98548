"""The progress line of a training."""

import logging
import sys
import time
from typing import Any

from pytorch_lightning import Trainer

from ganrun.terminal import LiveDisplay, format_duration
from ganrun.training.callbacks.base import RunCallback
from ganrun.training.callbacks.length import kimg_limit
from ganrun.training.callbacks.loss_curves import LossCurves

log = logging.getLogger(__name__)


class Progress(RunCallback):
    """One line: kimg of the total, images per second, time left, the players' terms, last and best score.

    A terminal redraws it four times a second; elsewhere it is logged every `seconds` and after each scoring.
    """

    def __init__(self, seconds: float = 20):
        self.is_live = sys.stderr.isatty()
        self.pause, self.live = 0.25 if self.is_live else seconds, None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.shown_at, self.shown_score = time.monotonic(), None
        self.live = LiveDisplay() if self.is_live and trainer.is_global_zero else None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        is_scored = self.shown_score != self.run.record.last.get("kimg")
        if trainer.is_global_zero and (now - self.shown_at > self.pause or is_scored):
            self.shown_at, self.shown_score = now, self.run.record.last.get("kimg")
            self._show(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero and self.shown_score != self.run.record.last.get("kimg"):
            self._show(pl_module)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def _show(self, model) -> None:
        if self.live:
            self.live.update(self.line(model))
        else:
            log.info(self.line(model))

    def seconds_left(self, images: int) -> float:
        """Return the seconds until the run reaches its kimg at the speed so far, or its minutes."""
        cfg, record = self.run.cfg, self.run.record
        done, ahead = images - record.first, max(0.0, 1000 * kimg_limit(cfg.kimg) - images)
        by_kimg = record.seconds * ahead / done if done > 0 else float("inf")
        return by_kimg if cfg.minutes is None else max(0.0, min(by_kimg, 60 * cfg.minutes - record.seconds))

    def line(self, model) -> str:
        record, terms, kimg = self.run.record, self.run.find(LossCurves).latest, self.run.cfg.kimg
        record.images = model.images_seen
        fields = [
            f"{model.images_seen / 1000:.1f}{f'/{kimg:g}' if kimg else ''} kimg",
            f"{record.images_per_second:,.0f} images/s",
            f"{format_duration(self.seconds_left(model.images_seen))} left",
        ]
        for name, value in terms.items():
            _, player, term = name.split("/")
            if term != "gradient":
                fields.append(f"{player[0].upper()}.{term} {value:.3g}")  # such as D.real
        if name := record.monitor if record.best else None:
            fields.append(f"{name} {record.last[name]:.4g} (best {record.best[name]:.4g})")
        return "  ".join(fields)

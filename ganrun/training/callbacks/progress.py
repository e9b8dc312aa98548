"""The progress line of a training."""

import logging
import sys
import time
from typing import Any

from pytorch_lightning import Trainer

from ganrun.metrics.scores.declarations import short_name
from ganrun.terminal import LiveDisplay, format_duration, join_fields
from ganrun.training.callbacks.base import RunCallback
from ganrun.training.callbacks.length import kimg_limit
from ganrun.training.callbacks.loss_curves import PROBABILITY, LossCurves
from ganrun.training.run_folder import copy_to_log

log = logging.getLogger(__name__)


class Progress(RunCallback):
    """One line: share that is done, images, images per second, time left, the score, and how the players stand.

    A terminal redraws it four times a second, as wide as it is. It is logged every `seconds` and after each scoring.
    """

    def __init__(self, seconds: float = 20):
        self.is_live = sys.stderr.isatty()
        self.seconds, self.pause, self.live = seconds, 0.25 if self.is_live else seconds, None
        self.newest: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.shown_at, self.shown_score = time.monotonic(), None
        self.logged_at, self.logged_score = self.shown_at, None
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

    def announce(self, text: str) -> None:
        if self.live:
            self.live.update(join_fields([*self.newest[:2], text], self.live.width))

    def _stop(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def _show(self, model) -> None:
        self.newest = self.fields(model)
        if not self.live:
            log.info(join_fields(self.newest))
            return
        self.live.update(join_fields(self.newest, self.live.width))
        now, scored = time.monotonic(), self.run.record.last.get("kimg")
        if now - self.logged_at > self.seconds or scored != self.logged_score:  # the log has fewer lines
            self.logged_at, self.logged_score = now, scored
            copy_to_log(join_fields(self.newest))

    def seconds_left(self, images: int) -> float:
        """Return the seconds until the run reaches its kimg, at the speed so far, or its minutes, and is scored."""
        cfg, record = self.run.cfg, self.run.record
        done, ahead = images - record.first, max(0.0, 1000 * kimg_limit(cfg.kimg) - images)
        by_kimg = record.seconds * ahead / done if done > 0 else float("inf")
        left = by_kimg if cfg.minutes is None else max(0.0, min(by_kimg, 60 * cfg.minutes - record.seconds))
        return left + sum(callback.seconds_at_end() for callback in self.run.own_callbacks)

    def fields(self, model) -> list[str]:
        """Return the parts of the line, the most important ones first."""
        record = self.run.record
        record.images = model.images_seen
        fields = [
            f"{100 * model.progress:.0f} %",
            f"{format_count(model.images_seen)} images",
            f"{record.images_per_second:,.0f}/s",
            f"{format_duration(self.seconds_left(model.images_seen))} left",
        ]
        if name := record.monitor if record.best else None:
            is_best = record.last[name] == record.best[name]
            best = "best" if is_best else f"best {record.best[name]:.4g}"
            fields.append(f"{short_name(name)} {record.last[name]:.4g} ({best})")
        return [*fields, *standing_of_players(self.run.find(LossCurves).latest)]


def standing_of_players(curves: dict[str, float]) -> list[str]:
    """Return fields that show how the players stand: D(real) and D(fake), or their losses if D(x) has no meaning."""
    terms = [(*name.split("/")[1:], value) for name, value in curves.items()]
    if probabilities := [(term, value) for _, term, value in terms if term.startswith(PROBABILITY)]:
        return [f"D({term.removeprefix(PROBABILITY)}) {value:.2f}" for term, value in probabilities]
    return [f"{player[0].upper()} loss {value:.3g}" for player, term, value in terms if term == "loss"]


def format_count(images: int) -> str:
    """Format a number of images with three digits: 9984, 306k, 1.53M."""
    if images < 10_000:
        return str(images)
    return f"{images / 1000:.0f}k" if images < 999_500 else f"{images / 1e6:.3g}M"

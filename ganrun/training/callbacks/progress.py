"""What one sees while a training runs."""

import logging
import sys
import time

from pytorch_lightning import Callback
from rich.text import Text

from ganrun.terminal import LiveDisplay, format_duration
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.run_record import RunRecord

log = logging.getLogger(__name__)


class Progress(Callback):
    """One line: kimg of the total, images a second, time left, the players' terms, last and best score.

    In a terminal it is redrawn four times a second; elsewhere it is logged every `seconds` and after each score.
    """

    def __init__(
        self, record: RunRecord, curves: LossCurves, kimg: float, minutes: float | None = None, seconds: float = 20
    ):
        self.record, self.curves, self.kimg, self.minutes = record, curves, kimg, minutes
        self.is_live = sys.stderr.isatty()
        self.pause = 0.25 if self.is_live else seconds
        self.live: LiveDisplay | None = None

    def on_train_start(self, trainer, model):
        self.shown, self.scored = time.monotonic(), None
        if self.is_live and trainer.is_global_zero:
            self.live = LiveDisplay()

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        now = time.monotonic()
        is_scored = self.scored != self.record.last.get("kimg")
        if trainer.is_global_zero and (now - self.shown > self.pause or is_scored):
            self.shown, self.scored = now, self.record.last.get("kimg")
            self._show(model)

    def on_train_end(self, trainer, model):
        if trainer.is_global_zero and self.scored != self.record.last.get("kimg"):
            self._show(model)
        self._stop()

    def on_exception(self, trainer, model, exception):
        self._stop()

    def _stop(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def _show(self, model) -> None:
        line = self.line(model)
        if self.live:
            self.live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        else:
            log.info(line)

    def left(self, images: int) -> float:
        """Seconds until the training has its kimg at the pace so far, or its minutes."""
        done, ahead = images - self.record.first, max(0.0, 1000 * self.kimg - images)
        by_kimg = self.record.seconds * ahead / done if done > 0 else float("inf")
        return by_kimg if self.minutes is None else max(0.0, min(by_kimg, 60 * self.minutes - self.record.seconds))

    def line(self, model) -> str:
        """The line as it stands now."""
        self.record.images = model.images_seen
        parts = [
            f"{model.images_seen / 1000:.1f}/{self.kimg:g} kimg",
            f"{self.record.images_per_second:,.0f} images/s",
            f"{format_duration(self.left(model.images_seen))} left",
            *(f"{short_name(name)} {value:.3g}" for name, value in self.curves.latest.items() if is_shown(name)),
        ]
        monitor = self.record.monitor
        if self.record.best:
            parts.append(f"{monitor} {self.record.last[monitor]:.4g} (best {self.record.best[monitor]:.4g})")
        return "  ".join(parts)


def is_shown(name: str) -> bool:
    """Not the norms of gradients: only their course says something."""
    return not name.endswith("/gradient")


def short_name(name: str) -> str:
    """ "train/discriminator/real" -> "D.real": players by their first letter."""
    _, player, term = name.split("/")
    return f"{player[0].upper()}.{term}"

"""Measure what saving costs a training."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import pytorch_lightning as pl
from bench_loop import DCGAN, Work, build_work

from ganrun.config import build
from ganrun.training import session
from ganrun.training.callbacks.base import RunContext
from ganrun.training.callbacks.callback_list import CallbackList
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_record import RunRecord

KIMG = 1000  # default length of a run
NOTE = """\
Training with the default settings, which save ten times per run. It stops while a state is copied and while a save
waits for the previous one; meanwhile a thread writes, flushes, reads back and hashes the file, which makes batches
slower. Wall-clock seconds. A run of the default length has as many saves, so that their share is smaller."""


@dataclass
class Clock(pl.Callback):
    """Times batches, saving and writing. It must come after the other callbacks.

    idle, busy: seconds of the batches without and with a write in progress, without the time that training stopped.
    still: seconds that training stopped at each batch and at the end.   saves: seconds of that for each save.
    """

    io: DurableIO
    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    still: list[float] = field(default_factory=list)
    saves: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)

    def on_train_start(self, trainer, model):
        self.start = self.mark = time.perf_counter()
        self.is_writing = False

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        now = time.perf_counter()
        (self.busy if self.is_writing else self.idle).append(now - self.mark - self.still[-1])
        self.mark, self.is_writing = now, bool(self.io._pending and not self.io._pending.done())

    def on_train_end(self, trainer, model):
        self.seconds = time.perf_counter() - self.start

    def record_time(self, function: Callable, seconds: list[float]) -> Callable:
        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds.append(time.perf_counter() - start)

        return timed


def train(work: Work) -> tuple[Clock, float]:
    """Train as `ganrun train` does, in a temporary folder; return the clock and thousands of images per second."""
    session.silence_libraries()
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GANRUN_CACHE=f"{name}/cache"):
        job = build_work(work, Path(name))
        io = DurableIO()
        clock = Clock(io)
        choices = session.config_choices()
        run = RunContext(job, RunRecord(Path(job.cfg.folder), job.cfg, choices, job.hardware.precision), choices, io)
        callbacks = session.bind_callbacks(run)
        saving = run.find(Checkpointing)
        saving.on_train_batch_end = clock.record_time(saving.on_train_batch_end, clock.still)
        saving.on_train_end = clock.record_time(saving.on_train_end, clock.still)  # waits until everything is on disk
        saving.save, io._save = clock.record_time(saving.save, clock.saves), clock.record_time(io._save, clock.written)
        parts, logger = CallbackList([*callbacks, clock]), build.instantiate_optional(job.cfg.logger)
        job.build_trainer(callbacks=parts, logger=logger, plugins=[io]).fit(job.model, datamodule=job.data)
    return clock, job.model.images_seen / 1000 / clock.seconds


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    """Return the measurement of one training. rounds: its minutes."""
    return {DCGAN.name: partial(measure, 0.5 if is_quick else rounds or 5)}


def measure(minutes: float) -> list[dict]:
    overrides = [*DCGAN.overrides, f"minutes={minutes}"]
    clock, speed = train(Work(DCGAN.name, overrides, 0, 0, images=DCGAN.images))
    return [summarize(f"{DCGAN.name}, {minutes:g} minutes", clock, speed)]


def summarize(name: str, clock: Clock, speed: float) -> dict:
    """Return the costs, as percentages of the training's time. speed: thousands of images per second."""
    still, idle = sum(clock.still), median(clock.idle)
    slower = sum(clock.busy) - idle * len(clock.busy)
    return {
        "work": name,
        "saves": len(clock.saves),
        "seconds_still_a_save": round(median(clock.saves), 3),
        "seconds_still_at_the_end": round(clock.still[-1], 3),
        "seconds_of_writing_a_save": round(median(clock.written), 3),
        "seconds_a_batch": round(idle, 3),
        "seconds_a_batch_beside_writing": round(median(clock.busy), 3) if clock.busy else None,
        "percent_still": round(100 * still / clock.seconds, 3),
        "percent_with_slower_batches": round(100 * (still + slower) / clock.seconds, 3),
        f"percent_of_{KIMG}_kimg": round(100 * (still + slower) * speed / KIMG, 4),
    }

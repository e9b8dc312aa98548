"""Ends a training on a signal."""

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_only

from ganrun.errors import Interrupted, heeded_signals, is_repeated
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.checkpointing import Checkpointing

log = logging.getLogger(__name__)
SAVE = 0.5  # a request for a checkpoint, below the numbers of all signals
SHOW_CURSOR = b"\x1b[?25h"  # the progress line hides it
T = TypeVar("T")


class WorkDropped(BaseException):
    """Ends work outside the training steps; caught by `unless_stopped`."""


class Signals(RunCallback):
    """On SIGTERM, SIGINT, SIGHUP and, under Slurm, SIGUSR1: saves after the current batch and raises Interrupted.

    After SIGUSR1 it also requeues the Slurm job. A second signal other than SIGHUP ends the process at once; saved
    files stay intact. A signal that the process ignores, as under nohup, stays ignored.
    If `ganrun save` asks for a checkpoint, it saves after the current batch, and the training goes on.
    every: batches after which several ranks ask each other for signals and requests.
    """

    acts_last = True  # after Checkpointing, which must have started before this can save

    def __init__(self, every: int = 1):
        self.every = every
        self.trainer: Trainer | None = None  # set once there is something to save
        self.signum: int | None = None  # the first one received, or the one after a SIGHUP
        self.is_droppable = self.has_dropped = False
        self.checkpointing: Checkpointing | None = None

    def bind(self, run: RunContext) -> None:
        super().bind(run)
        self.checkpointing = run.find(Checkpointing)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Handle signals during a training and the writing of its status; raise at once if nothing can be saved yet."""
        before = self._set_handlers()
        try:
            yield
            if self.signum and self.signum != signal.SIGUSR1:  # the training is done, but a sweep must end
                raise Interrupted(self.signum)
        except Interrupted as error:
            if "SLURM_JOB_ID" in os.environ and error.exit_code == 128 + signal.SIGUSR1:
                requeue_slurm_job()
            raise
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.trainer = trainer
        self._set_handlers()  # again: Lightning has set its own since

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.world_size > 1 and pl_module.batches_seen % self.every:
            return
        asked = self._asked() if trainer.world_size == 1 else highest_signal(self._asked(), pl_module.device)
        if asked >= 1:
            self.save(trainer, pl_module)
            raise self._interrupted(trainer, int(asked))
        if asked and self.checkpointing:
            self.checkpointing.save(trainer, pl_module)

    def _asked(self) -> float:
        """Return the number of the signal that has come, else SAVE if a checkpoint is asked for, else 0."""
        if self.signum:
            return self.signum
        return SAVE if self.checkpointing and self.checkpointing.requests.is_waiting() else 0

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.has_dropped and self.signum:
            raise self._interrupted(trainer, self.signum)

    def save(self, trainer: Trainer, model) -> None:
        self.run.find(Checkpointing).save_now(trainer, model)

    def unless_stopped(self, work: Callable[[], T]) -> T | None:
        """Return work()'s result, or None as soon as a signal arrives. For work that does not change the model.

        With several ranks the work is always completed, because all must do the same.
        """
        if self.trainer and self.trainer.world_size > 1:
            return work()
        try:
            try:
                self.is_droppable = True
                if self.signum:
                    raise WorkDropped
                return work()
            finally:
                self.is_droppable = False
        except WorkDropped:  # also if it arrived in that finally
            self.is_droppable, self.has_dropped = False, True
            return None

    def _set_handlers(self) -> dict:
        """Set the signal handlers; return the former ones."""
        signums = heeded_signals(*[signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else [])
        return {signum: signal.signal(signum, self._handle) for signum in signums}

    def _handle(self, signum: int, frame) -> None:
        if self.signum and is_repeated(signum, [self.signum]):
            launcher: Any = self.trainer.strategy.launcher if self.trainer else None
            if launcher:
                launcher.kill(signal.SIGKILL)
            if os.isatty(2):
                os.write(2, SHOW_CURSOR)
            os._exit(128 + signum)
        if self.signum:
            self.signum = max(self.signum, signum)  # SIGHUP is the lowest
            return
        self.signum = signum
        if not self.trainer:
            raise Interrupted(signum)
        with suppress(RuntimeError):  # raised in the middle of writing another message
            log_signal(signal.Signals(signum).name)
        if self.is_droppable:
            raise WorkDropped

    def _interrupted(self, trainer: Trainer, signum: int) -> Interrupted:
        error = Interrupted(signum)
        if not trainer.is_global_zero:
            error.exit_code = 0  # Lightning kills the first rank if one that it started ends with anything else
        return error


@rank_zero_only
def log_signal(name: str) -> None:
    log.warning("%s: stopping after this batch and saving; a second signal stops at once", name)


def highest_signal(asked: float, device: torch.device) -> float:
    """Return the highest number that a rank is asked to act on."""
    highest = torch.tensor(float(asked), device=device)
    torch.distributed.all_reduce(highest, torch.distributed.ReduceOp.MAX)
    return highest.item()


@rank_zero_only
def requeue_slurm_job() -> None:
    """Have Slurm start this job again, a job of an array on its own. Slurm then ends its remaining processes."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format_map(os.environ)
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
        log.warning("Slurm will start job %s again", job)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        log.warning("Slurm cannot start job %s again: %s", job, reason)

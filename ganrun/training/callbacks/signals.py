"""A training that is asked to end."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch
from pytorch_lightning import Callback
from pytorch_lightning.utilities import rank_zero_only

from ganrun.errors import Interrupted

log = logging.getLogger(__name__)
SHOW_CURSOR = b"\x1b[?25h"  # the line that shows the progress hides it
T = TypeVar("T")


class WorkDropped(BaseException):
    """Ends work beside the training; goes no further than `unless_stopped`."""


class Signals(Callback):
    """On SIGTERM, SIGINT and, under Slurm, SIGUSR1: saves at the end of the batch and raises Interrupted.

    SIGUSR1 has Slurm start the job again as well. A second signal ends the process at once; what was saved is whole.
    save: called with trainer and model.   every: batches after which several ranks ask each other for signals.
    """

    def __init__(self, save: Callable[..., None], every: int):
        self.save, self.every = save, every
        self.trainer = None  # from when on there is something to save
        self.signum: int | None = None  # the first that came
        self.is_droppable = self.has_dropped = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Around a training and the writing of its status. Before there is something to save, it raises at once."""
        before = self._catch()
        try:
            yield
            if self.signum in (signal.SIGTERM, signal.SIGINT):  # all was done; a sweep ends
                raise Interrupted(self.signum)
        except Interrupted as error:
            if "SLURM_JOB_ID" in os.environ and error.exit_code == 128 + signal.SIGUSR1:
                requeue_slurm_job()
            raise
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def on_train_start(self, trainer, model):
        self.trainer = trainer
        self._catch()  # again: Lightning has put its own in between

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if trainer.world_size > 1 and model.batches_seen % self.every:
            return
        signum = self.signum if trainer.world_size == 1 else highest_signal(self.signum or 0, model.device)
        if signum:
            self.save(trainer, model)
            raise self._interrupted(signum)

    def on_train_end(self, trainer, model):
        if self.has_dropped:
            raise self._interrupted(self.signum)

    def unless_stopped(self, work: Callable[[], T]) -> T | None:
        """work()'s result, or None as soon as a signal has come: for what leaves the model as it is.

        Several ranks have to stay together, so there it is done to its end.
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
        except WorkDropped:  # also where it came in that finally
            self.is_droppable, self.has_dropped = False, True
            return None

    def _catch(self) -> dict:
        """Sets the handlers. The ones before."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        expected = ["SIGTERM", "SIGINT", *(["SIGUSR1"] if "SLURM_JOB_ID" in os.environ else [])]
        wanted = [signum for name in expected if signal.getsignal(signum := signal.Signals[name]) != signal.SIG_IGN]
        return {signum: signal.signal(signum, self._note) for signum in wanted}

    def _note(self, signum: int, frame) -> None:
        if self.signum:
            self._end_at_once(signum)
        self.signum = signum
        if not self.trainer:
            raise Interrupted(signum)
        with suppress(RuntimeError):  # in the middle of another message
            log_signal(signal.Signals(signum).name)
        if self.is_droppable:
            raise WorkDropped

    def _end_at_once(self, signum: int) -> None:
        launcher = self.trainer.strategy.launcher if self.trainer else None
        if launcher:
            launcher.kill(signal.SIGKILL)
        if os.isatty(2):
            os.write(2, SHOW_CURSOR)
        os._exit(128 + signum)

    def _interrupted(self, signum: int) -> Interrupted:
        error = Interrupted(signum)
        if not self.trainer.is_global_zero:
            error.exit_code = 0  # Lightning kills the first rank when one that it started ends with anything else
        return error


@rank_zero_only
def log_signal(name: str) -> None:
    log.warning("%s: stops after this batch and saves; a second one stops at once", name)


def highest_signal(signum: int, device: torch.device) -> int:
    """Of all ranks' numbers."""
    found = torch.tensor(signum, device=device)
    torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return int(found)


@rank_zero_only
def requeue_slurm_job() -> None:
    """Has Slurm start this job again, a job of an array for itself; Slurm then ends what is left of its processes."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}".format_map(os.environ)
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
        log.warning("Slurm starts job %s again", job)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        log.warning("Slurm does not start job %s again: %s", job, reason)

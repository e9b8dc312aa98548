"""A few batches of a training on made-up examples: how fast it is, and how much memory it takes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from ganrun.config.experiment import Experiment
from ganrun.config.memory import free_bytes
from ganrun.config.trial import activation_bytes, explain_error
from ganrun.data.cache import LoadedData
from ganrun.data.keys import Key
from ganrun.data.module import DataModule, EndlessLoader
from ganrun.terminal import round_bytes
from ganrun.training.callbacks.base import RunContext
from ganrun.training.callbacks.compilation import Compilation
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.out_of_memory import explain_failure, suggest_settings

SECONDS = 5  # of training, after the first batches
FIRST_BATCHES = 3  # which are slower: memory is allocated, kernels are chosen and compiled


@dataclass
class Rehearsal:
    """images_per_second: without scoring and saving.   memory: bytes at the peak, of the GPU or of this process."""

    images_per_second: float
    memory: int | None
    batches: int


class NotMeasuredError(Exception):
    """A training that cannot be tried. The message says why."""


class BatchTimer(Callback):
    """Ends a training after some seconds and times its batches, without the first ones if there are more."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []  # (seconds, images) after each step

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._mark(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._mark(pl_module)
        pl_module.progress = 0.0  # of a training that has just begun
        elapsed = self.marks[-1][0] - self.marks[min(FIRST_BATCHES, len(self.marks) - 1)][0]
        slow_start = self.marks[-1][0] - self.marks[0][0] > 4 * SECONDS
        trainer.should_stop = elapsed > SECONDS or slow_start

    def images_per_second(self) -> float:
        first = min(FIRST_BATCHES, len(self.marks) - 2)
        (start, images), (end, more) = self.marks[first], self.marks[-1]
        return (more - images) / (end - start)

    def _mark(self, model: Any) -> None:
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        self.marks.append((time.perf_counter(), model.images_seen))


def rehearse(experiment: Experiment) -> Rehearsal | None:
    """Train for some seconds on made-up examples. None for several devices, whose processes this one does not start.

    The model is trained: build another one for what follows. Reads no data, and writes nothing.
    Raises NotMeasuredError, and Failure if the memory does not suffice.
    """
    if experiment.hardware.is_parallel:
        return None
    check_activations(experiment)
    watch, data, uses_cuda = BatchTimer(), experiment.data, experiment.hardware.uses_cuda
    steps = [callback for callback in experiment.callbacks if isinstance(callback, Compilation)]
    context = RunContext(experiment, None, {}, DurableIO(), callbacks=[*steps, watch])  # pyright: ignore
    for callback in steps:
        callback.bind(context)
    trainer = experiment.build_trainer(callbacks=[*steps, watch], logger=False)
    if uses_cuda:
        torch.cuda.reset_peak_memory_stats()
    with made_up_examples(data):
        data.trainer = trainer
        try:
            trainer.fit(experiment.model, train_dataloaders=EndlessLoader(data))
        except Exception as error:  # a loss may rely on what real examples have and noise has not
            if failure := explain_failure(error, experiment.cfg):
                raise failure from error
            reason = explain_error(error).reason
            raise NotMeasuredError(f"this model does not train on made-up examples: {reason}") from error
    memory = torch.cuda.max_memory_allocated() if uses_cuda else peak_memory()
    return Rehearsal(watch.images_per_second(), memory, len(watch.marks) - 1)


def check_activations(experiment: Experiment) -> None:
    """Raise NotMeasuredError if a step takes more memory than is free: a system ends the process without a message."""
    cfg, free = experiment.cfg, free_bytes(experiment.cfg)
    activations = activation_bytes(experiment.model, experiment.data)
    if activations is not None and free is not None and activations > free:
        advice = ", or ".join(suggest_settings(cfg, is_host=not experiment.hardware.uses_cuda))
        raise NotMeasuredError(
            f"the activations of a batch take more than {round_bytes(activations)}, and {round_bytes(free)} are free. "
            f"Try {advice}."
        )


@contextmanager
def made_up_examples(data: DataModule) -> Iterator[None]:
    """Have the data set hold made-up training examples within the block: two batches of noise."""
    keys = {name: key for name, key in data.keys.items() if key.kind != "index"}
    arrays = {name: make_up(key, 2 * data.batch_size) for name, key in keys.items()}
    data.__dict__["contents"] = LoadedData({"train": arrays}, "made up")  # where cached_property keeps it
    try:
        yield
    finally:
        for name in ("contents", "batches"):
            data.__dict__.pop(name, None)


def make_up(key: Key, count: int) -> Tensor:
    """Return examples of a kind as a data set stores them: noise, or zeros where only some numbers are allowed."""
    if key.kind in ("picture", "volume"):
        return torch.randint(0, 256, (count, *key.shape), dtype=torch.uint8)
    example = key.example(count, "cpu")
    return torch.randn_like(example) if example.is_floating_point() else example


def peak_memory() -> int | None:
    """Return the most memory that this process has taken, in bytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

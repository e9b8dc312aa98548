"""Where the time of a training goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from pytorch_lightning import Trainer

from ganrun.files import replace_text, replacing
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.callbacks.samples import Samples

WAIT, WARMUP, TRACED = 10, 2, 5  # batches before the trace, for warming up the tracer, and in the trace
REST = "Lightning and the rest"
PARTS = {Evaluation: "scores", Samples: "pictures", Checkpointing: "checkpoints"}
OTHERS = "callbacks: curves, guards, progress"
END = object()
T = TypeVar("T")


class Stopwatch:
    """Adds up the seconds of named spans. Within nested spans, each second counts once, for the innermost.

    settle: called before the clock is read, to wait for a device.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.perf_counter):
        self.settle, self.clock = settle, clock
        self.seconds: dict[str, float] = defaultdict(float)
        self.open: list[str] = []

    def enter(self, name: str) -> None:
        self._count()
        self.open.append(name)

    def leave(self) -> None:
        self._count()
        self.open.pop()

    def timed(self, work: Callable, name: str | Callable[..., str]) -> Callable:
        """Return the function within a span of that name, or of the name that its arguments give."""

        def within(*args, **kwargs):
            label = name if isinstance(name, str) else name(*args, **kwargs)
            self.enter(label)
            try:
                with torch.profiler.record_function(label):
                    return work(*args, **kwargs)
            finally:
                self.leave()

        return within

    def timed_items(self, items: Iterable[T], name: str) -> Iterator[T]:
        """Yield the items; producing each is a span of that name."""
        iterator = iter(items)
        produce = self.timed(lambda: next(iterator, END), name)
        while (item := produce()) is not END:
            yield item

    def _count(self) -> None:
        self.settle()
        now = self.clock()
        if self.open:
            self.seconds[self.open[-1]] += now - self.mark
        self.mark = now


class Profiling(RunCallback):
    """With profile=true: times the parts of every batch, and traces a few batches operation by operation.

    Writes profile/table.txt, and profile/trace.json.gz for https://ui.perfetto.dev. On a GPU it waits for each part,
    which makes the training slower. With trainer.batches_per_step=1 Lightning fetches the batches: their time is in
    the rest. Comes before all callbacks that it times.
    """

    def is_needed(self, run: RunContext) -> bool:
        return bool(run.cfg.get("profile"))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        model = pl_module
        on_gpu = model.device.type == "cuda"
        self.watch = watch = Stopwatch(lambda: torch.cuda.synchronize(model.device)) if on_gpu else Stopwatch()
        self.batches, step = 0, model.training_step
        model.training_step = lambda batch, batch_idx: step(watch.timed_items(batch, "data"), batch_idx)  # names matter
        steps = model.graphed_steps or model  # set by Compilation, which comes before
        steps.take_turn = watch.timed(steps.take_turn, lambda player, *_: player.name)
        model._update_averages = watch.timed(model._update_averages, "averages")
        model.after_batch = watch.timed(model.after_batch, OTHERS)
        for callback in self.run.callbacks:
            if name := PARTS.get(type(callback)):
                callback.on_train_batch_end = watch.timed(callback.on_train_batch_end, name)
        self.tracer, self.folder = None, self.run.record.folder / "profile"
        if trainer.is_global_zero:
            self.folder.mkdir(exist_ok=True)
            self.tracer = torch.profiler.profile(
                schedule=torch.profiler.schedule(wait=WAIT, warmup=WARMUP, active=TRACED, repeat=1),
                on_trace_ready=lambda tracer: write_trace(tracer, self.folder / "trace.json.gz"),
            )
            self.tracer.start()
        watch.enter(REST)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches += 1
        if self.tracer and self.batches <= WAIT + WARMUP + TRACED:
            self.watch.timed(self.tracer.step, "the trace")()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not self.watch.open:
            return
        self.watch.leave()
        if self.tracer:
            self.tracer.stop()
            replace_text(self.folder / "table.txt", self.text() + "\n")

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        if getattr(self, "watch", None) and self.watch.open:
            del self.watch.open[1:]  # spans that were cut short
            self.on_train_end(trainer, pl_module)

    def rows(self) -> list[tuple[str, float, float]]:
        """Return (part, milliseconds per batch, share of the time), the largest first."""
        total, batches = sum(self.watch.seconds.values()), max(self.batches, 1)
        rows = [(name, 1000 * seconds / batches, seconds / total) for name, seconds in self.watch.seconds.items()]
        return sorted(rows, key=lambda row: -row[1])

    def text(self) -> str:
        lines = [f"time of {self.batches} batches", f"{'part':40}{'ms per batch':>12}{'share':>8}"]
        return "\n".join([*lines, *(f"{name:40}{ms:12.3f}{share:8.1%}" for name, ms, share in self.rows())])


def write_trace(tracer: torch.profiler.profile, path: Path) -> None:
    """Write the trace as a whole or not at all."""
    with replacing(path, "partial.gz") as partial:  # torch compresses a file whose name ends so
        tracer.export_chrome_trace(str(partial))

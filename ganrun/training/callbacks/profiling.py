"""Where the time of a training goes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from pytorch_lightning import Callback
from rich.table import Table

from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.callbacks.samples import Samples

WAIT, WARMUP, TRACED = 10, 2, 5  # batches before the trace, for the tracer to settle, and in the trace
REST = "Lightning and the rest"
PARTS = {Evaluation: "scores", Samples: "pictures", Checkpointing: "checkpoints"}
WATCHING = "callbacks: curves, guards, progress"
END = object()
T = TypeVar("T")


class Stopwatch:
    """Adds up the seconds of named spans; of spans within each other each second counts once, for the innermost.

    settle: called before the clock is read, so that a device has done what it was asked to.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.perf_counter):
        self.settle, self.clock = settle, clock
        self.seconds: Counter[str] = Counter()
        self.open: list[str] = []

    def enter(self, name: str) -> None:
        self._count()
        self.open.append(name)

    def leave(self) -> None:
        self._count()
        self.open.pop()

    def timed(self, work: Callable, name: str | Callable[..., str]) -> Callable:
        """The work within a span of that name, or of the name that its arguments give."""

        def within(*arguments, **settings):
            label = name if isinstance(name, str) else name(*arguments, **settings)
            self.enter(label)
            try:
                with torch.profiler.record_function(label):
                    return work(*arguments, **settings)
            finally:
                self.leave()

        return within

    def timed_items(self, items: Iterable[T], name: str) -> Iterator[T]:
        """The items, the making of each within a span of that name."""
        items = iter(items)
        make = self.timed(lambda: next(items, END), name)
        while (item := make()) is not END:
            yield item

    def _count(self) -> None:
        self.settle()
        now = self.clock()
        if self.open:
            self.seconds[self.open[-1]] += now - self.mark
        self.mark = now


class Profiling(Callback):
    """Times the parts of every batch, and traces a few batches operation by operation.

    The table goes to `folder`/table.txt, the trace to `folder`/trace.json.gz, which https://ui.perfetto.dev opens.
    On a GPU each part waits until its work is done, so that the time counts where it belongs: the training is slower
    for it. Of trainer.batches_per_step=1 Lightning itself fetches the batch, and the data are in the rest.
    Stands before all others, whose work it times: parts.
    """

    def __init__(self, folder: Path, parts: Sequence[Callback]):
        self.folder, self.parts = folder, parts

    def on_train_start(self, trainer, model):
        on_gpu = model.device.type == "cuda"
        watch = Stopwatch(lambda: torch.cuda.synchronize(model.device)) if on_gpu else Stopwatch()
        self.watch, self.batches, self.before = watch, 0, model.batches_seen
        step = model.training_step
        model.training_step = lambda batch, batch_idx: step(watch.timed_items(batch, "data"), batch_idx)  # its names
        model._turn = watch.timed(model._turn, lambda player, *_: player.name)
        model._update_averages = watch.timed(model._update_averages, "averages")
        model.after_batch = watch.timed(model.after_batch, WATCHING)
        for part in self.parts:
            if name := PARTS.get(type(part)):
                part.on_train_batch_end = watch.timed(part.on_train_batch_end, name)
        self.tracer = self._tracer() if trainer.is_global_zero else None
        watch.enter(REST)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.batches += 1
        if self.tracer and self.batches <= WAIT + WARMUP + TRACED:
            self.watch.timed(self.tracer.step, "the trace")()

    def on_train_end(self, trainer, model):
        if not self.watch.open:
            return
        self.watch.leave()
        if self.tracer:
            self.tracer.stop()
            (self.folder / "table.txt").write_text(self.text() + "\n")

    def on_exception(self, trainer, model, exception):
        if getattr(self, "watch", None) and self.watch.open:
            del self.watch.open[1:]  # what was cut short
            self.on_train_end(trainer, model)

    def rows(self) -> list[tuple[str, float, float]]:
        """Part, milliseconds a batch, share of the time; the largest first."""
        total, batches = sum(self.watch.seconds.values()), max(self.batches, 1)
        return [(name, 1000 * s / batches, s / total) for name, s in self.watch.seconds.most_common()]

    def table(self) -> Table:
        """The rows, for the terminal."""
        table = Table("part", title=self._title(), title_justify="left")
        for name in ("ms a batch", "share"):
            table.add_column(name, justify="right")
        for name, milliseconds, share in self.rows():
            table.add_row(name, f"{milliseconds:.3f}", f"{share:.1%}")
        trace = self.folder / "trace.json.gz"
        table.caption = f"in detail: {trace}, for https://ui.perfetto.dev" if trace.exists() else None
        return table

    def text(self) -> str:
        """The rows, for a file."""
        lines = [f"{name:40}{ms:12.3f}{share:8.1%}" for name, ms, share in self.rows()]
        return "\n".join([self._title(), f"{'part':40}{'ms a batch':>12}{'share':>8}", *lines])

    def _title(self) -> str:
        return f"where the time of {self.batches} batches went"

    def _tracer(self) -> torch.profiler.profile:
        self.folder.mkdir(exist_ok=True)
        tracer = torch.profiler.profile(
            schedule=torch.profiler.schedule(wait=WAIT, warmup=WARMUP, active=TRACED, repeat=1),
            on_trace_ready=lambda tracer: tracer.export_chrome_trace(str(self.folder / "trace.json.gz")),
        )
        tracer.start()
        return tracer

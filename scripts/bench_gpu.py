"""ganrun's training step on a GPU: what each measure brings, and how far it is from what the device can do."""

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
import torch
from bench_loop import CYCLEGAN, DCGAN, Work, fitted, job_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from ganrun.training import session

NOTE = """\
Images a second of `ganrun train` with each measure on top of those before; seconds of the clock, after the first
batches. Beside each what that is of the device's ceilings: of the multiplications that torch reaches on large bf16
matrices, and of its copying, were each operation of the first measure to read its inputs and write its outputs once.
kernels and busy: what runs on the device for a batch, and how much of the batch's time it takes."""
ON_CUDA = torch.cuda.is_available()
DEVICE = "cuda" if ON_CUDA else "cpu"
PLAIN = ["trainer.precision=32-true", "channels_last=false", "trainer.compile='off'"]
MEASURES = {  # each on top of those before it
    "float32 (TF32)": [],
    "bfloat16": ["trainer.precision=bf16-mixed"],
    "channels last": ["channels_last=true"],
    "CUDA graphs": ["trainer.compile=graphs"],
    "torch.compile": ["trainer.compile=full"],
}
FIRST, NEEDS_CUDA = "float32 (TF32)", ("CUDA graphs",)
WORKS = [
    replace(DCGAN, batches=200),
    replace(
        DCGAN,
        name=DCGAN.name.replace("batch 64", "batch 512"),
        overrides=[*DCGAN.overrides, "batch_size=512"],
        batches=50,
    ),
    replace(
        CYCLEGAN,
        name=CYCLEGAN.name.replace("64x64", "128x128"),
        overrides=[*CYCLEGAN.overrides, "data.size=128"],
        batches=30,
    ),
]
SMALL = ["network.width=4", "batch_size=2"]
COUNTED, WARM_UP, TRACED, COMPARED = 3, 12, 5, 100  # batches
WINDOWS = 7


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write, views aside."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if not operation.is_view:
            leaves = tree_flatten((args, kwargs, result))[0]
            self.bytes += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, torch.Tensor))
        return result


@dataclass
class Watch(pl.Callback):
    """Counts one batch's arithmetic and traffic, times windows of batches, traces a few, and ends the training.

    The counting takes hold of every operation, of which a replay has none: only where nothing is recorded.
    """

    batches: int  # of a window
    counts: bool
    trace: Path | None
    windows: int = WINDOWS
    seconds: list[float] = field(default_factory=list)  # of each window, per batch
    flops: int = 0
    bytes: int = 0
    kernels: int = 0
    busy: float = 0.0  # seconds of them in a batch
    until: int = WARM_UP  # the batch after which there is something to do
    mark: float | None = None  # the clock at the window's start
    tracer: torch.profiler.profile | None = None
    is_replayed: bool = False

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.counts and model.batches_seen in (COUNTED - 1, COUNTED):
            self._count(begins=model.batches_seen < COUNTED)
        if model.batches_seen < self.until:
            return
        self._time()
        if len(self.seconds) < self.windows:
            self.until += self.batches
        elif self.trace and not self.tracer:
            self.until += TRACED
            self.tracer = torch.profiler.profile()
            self.tracer.__enter__()
        else:
            trainer.should_stop = True
            self.is_replayed = bool(model.graphed_steps and model.graphed_steps.captured)
            if self.tracer:
                self.tracer.__exit__(None, None, None)
                self._read_trace()

    def _time(self) -> None:
        settle()
        now = time.perf_counter()
        if self.mark and len(self.seconds) < self.windows:
            self.seconds.append((now - self.mark) / self.batches)
        self.mark = time.perf_counter()

    def _count(self, begins: bool) -> None:
        if begins:
            self.counting = ExitStack()
            self.arithmetic = self.counting.enter_context(FlopCounterMode(display=False))
            self.traffic = self.counting.enter_context(Traffic())
        else:
            self.counting.close()
            self.flops, self.bytes = self.arithmetic.get_total_flops(), self.traffic.bytes

    def _read_trace(self) -> None:
        events = [event for event in self.tracer.events() if event.device_type.name == "CUDA"]
        kernels = [event for event in events if not getattr(event, "is_user_annotation", False)]
        self.kernels = round(len(kernels) / TRACED)
        self.busy = sum(event.time_range.elapsed_us() for event in kernels) / 1e6 / TRACED
        plain = self.trace.with_suffix(".tmp")
        self.tracer.export_chrome_trace(str(plain))
        with plain.open("rb") as source, gzip.open(self.trace, "wb") as target:
            shutil.copyfileobj(source, target)
        plain.unlink()


class Losses(pl.Callback):
    """Keeps every player's loss after each batch."""

    def __init__(self):
        self.seen: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.seen.append(torch.stack([terms["loss"].float().mean() for terms in model.terms.values()]).clone())
        self.is_replayed = bool(model.graphed_steps and model.graphed_steps.captured)
        trainer.should_stop = model.batches_seen == COMPARED


def settle() -> None:
    if ON_CUDA:
        torch.cuda.synchronize()


def trained(work: Work, measures: list[str], watch: pl.Callback) -> pl.Callback:
    """The callback after a training of the work with these settings."""
    session.silence_libraries()
    with tempfile.TemporaryDirectory() as name:
        accelerator = f"trainer.accelerator={'gpu' if ON_CUDA else 'cpu'}"
        fitted(job_of(work, Path(name), ["metrics=none", "kimg=1000000", accelerator, *PLAIN, *measures]), watch)
    return watch


def per_second(amount: float, work: Callable[[], None], repeats: int) -> float:
    """The most of the amount that one call of work gets done in a second."""
    best = 0.0
    for _ in range(repeats):
        settle()
        start = time.perf_counter()
        work()
        settle()
        best = max(best, amount / (time.perf_counter() - start))
    return best


def ceilings(is_quick: bool) -> dict[str, float]:
    """Multiplications and additions a second on large bf16 matrices, and bytes read and written a second by copying."""
    side, size = (256, 2**20) if is_quick else (8192, 2**30)
    a = torch.randn(side, side, device=DEVICE).to(torch.bfloat16)
    source = torch.zeros(size, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    product = torch.empty_like(a)
    return {
        "flops": per_second(2 * side**3, lambda: torch.mm(a, a, out=product), 20),
        "bytes": per_second(2 * size, lambda: target.copy_(source), 20),
    }


def measured(rounds: int | None, is_quick: bool) -> list[dict]:
    """Per work and measure its speed and shares; the ratios of the windows; how far graphs change the losses."""
    traces = Path(os.environ.get("TRACES") or tempfile.mkdtemp(prefix="ganrun-traces-"))
    traces.mkdir(exist_ok=True)
    most = ceilings(is_quick)
    named = {"machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}"} if ON_CUDA else {}
    figures = {"bf16_tflops": round(most["flops"] / 1e12, 1), "copied_gb_per_second": round(most["bytes"] / 1e9, 1)}
    results = [{"work": "ceilings", **figures}]
    for work in WORKS:
        results += measures_of(small(work) if is_quick else work, most, traces, rounds or WINDOWS)
    results.append(agreement(small(WORKS[0]) if is_quick else WORKS[0]))
    print(f"timelines, for https://ui.perfetto.dev: {traces}")
    return [{**found, **named} for found in results]


def small(work: Work) -> Work:
    return replace(work, overrides=[*work.overrides, *SMALL, "data.size=32"], pictures=20, batches=2)


def measures_of(work: Work, most: dict[str, float], traces: Path, windows: int = WINDOWS) -> list[dict]:
    results, settings, first = [], [], None
    for name, more in MEASURES.items():
        if name in NEEDS_CUDA and not ON_CUDA:
            continue
        settings = [*settings, *more]
        trace = traces / f"{work.name}-{name}.json.gz".replace(" ", "-").replace(",", "")
        watch = Watch(work.batches, name == FIRST, trace if ON_CUDA else None, windows)
        try:
            trained(work, settings, watch)
        except Exception as error:  # the other measures are worth their time
            results.append({"work": f"{work.name}: {name}", "failed": str(error).splitlines()[0]})
            continue
        first = first or watch
        seconds = median(watch.seconds)
        found = {"work": f"{work.name}: {name}", "images_per_second": round(batch_of(work) / seconds)}
        found["percent_of_multiplying"] = round(100 * first.flops / seconds / most["flops"], 2)
        found["percent_of_copying"] = round(100 * first.bytes / seconds / most["bytes"], 2)
        if ON_CUDA:
            found |= {"kernels": watch.kernels, "percent_busy": round(100 * watch.busy / seconds, 1)}
            found["is_replayed"] = watch.is_replayed
        results.append(found)
        print(found, flush=True)
        if name != FIRST:
            ratios = [a / b for a, b in zip(first.seconds, watch.seconds, strict=True)]
            results.append({"work": found["work"], "against": FIRST, "ratios": ratios})
    return results


def batch_of(work: Work) -> int:
    """The last batch_size= of the overrides; CycleGAN's config has 1."""
    sizes = [word.split("=")[1] for word in work.overrides if word.startswith("batch_size=")]
    return int(sizes[-1]) if sizes else 1


def agreement(work: Work) -> dict:
    """The largest difference that graphs make to a loss, in float32, from the same seed."""
    exact = ["trainer.deterministic=true", "trainer.benchmark=false"]
    plain = trained(work, exact, Losses()).seen
    replayed = trained(work, [*exact, *(MEASURES["CUDA graphs"] if ON_CUDA else [])], Losses())
    difference = (torch.stack(plain) - torch.stack(replayed.seen)).abs().max().item()
    found = {"work": f"losses of {COMPARED} batches with and without graphs", "largest_difference": difference}
    return {**found, "is_replayed": replayed.is_replayed}

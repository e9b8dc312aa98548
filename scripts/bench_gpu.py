"""Measure ganrun's training step on a GPU: the gain of each optimization, and the distance to the device's limits."""

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

import pytorch_lightning as pl
import torch
from bench_loop import CYCLEGAN, DCGAN, Work, build_work, fit
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from ganrun.training import session

NOTE = """\
Images per second of `ganrun train`, each optimization added to the previous ones; wall-clock time after the first
batches. The percentages are of the device's limits: of torch's throughput in multiplying large bf16 matrices, and of
its throughput in copying, if each operation of the first row read its inputs and wrote its outputs once.
kernels and busy: kernels per batch, and their share of the batch's time."""
ON_CUDA = torch.cuda.is_available()
DEVICE = "cuda" if ON_CUDA else "cpu"
PLAIN = ["trainer.precision=32-true", "channels_last=false", "trainer.compile='off'"]
OPTIMIZATIONS = {  # each is added to the previous ones
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
LIMITS, COMPARISON = "limits of the device", f"losses of {COMPARED} batches with and without graphs"
WINDOWS = 7


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write, without views."""

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
    """Counts the arithmetic and memory traffic of one batch, times windows of batches, traces some, and stops.

    Counting intercepts each operation, which a CUDA graph does not have: count only without graphs.
    """

    batches: int  # per window
    counts: bool
    trace: Path | None
    windows: int = WINDOWS
    seconds: list[float] = field(default_factory=list)  # of each window, per batch
    flops: int = 0
    bytes: int = 0
    kernels: int = 0
    busy: float = 0.0  # seconds of kernels per batch
    until: int = WARM_UP  # the batch after which to act next
    mark: float | None = None  # start time of the window
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
        synchronize()
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
        uncompressed = self.trace.with_suffix(".tmp")
        self.tracer.export_chrome_trace(str(uncompressed))
        with uncompressed.open("rb") as source, gzip.open(self.trace, "wb") as target:
            shutil.copyfileobj(source, target)
        uncompressed.unlink()


class Losses(pl.Callback):
    """Keeps every player's loss after each batch."""

    def __init__(self):
        self.seen: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.seen.append(torch.stack([terms["loss"].float().mean() for terms in model.terms.values()]).clone())
        self.is_replayed = bool(model.graphed_steps and model.graphed_steps.captured)
        trainer.should_stop = model.batches_seen == COMPARED


def synchronize() -> None:
    if ON_CUDA:
        torch.cuda.synchronize()


def train(work: Work, overrides: list[str], watch: pl.Callback) -> pl.Callback:
    """Train with these overrides and return the callback."""
    session.silence_libraries()
    with tempfile.TemporaryDirectory() as name:
        accelerator = f"trainer.accelerator={'gpu' if ON_CUDA else 'cpu'}"
        fit(build_work(work, Path(name), ["metrics=none", "kimg=1000000", accelerator, *PLAIN, *overrides]), watch)
    return watch


def best_rate(amount: float, function: Callable[[], None], repeats: int) -> float:
    """Return the amount per second of the fastest call of a function that does this amount."""
    best = 0.0
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        function()
        synchronize()
        best = max(best, amount / (time.perf_counter() - start))
    return best


def measure_limits(is_quick: bool) -> dict[str, float]:
    """Return operations per second for large bf16 matrix products, and bytes read and written per second by copying."""
    side, size = (256, 2**20) if is_quick else (8192, 2**30)
    a = torch.randn(side, side, device=DEVICE).to(torch.bfloat16)
    source = torch.zeros(size, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    product = torch.empty_like(a)
    return {
        "flops": best_rate(2 * side**3, lambda: torch.mm(a, a, out=product), 20),
        "bytes": best_rate(2 * size, lambda: target.copy_(source), 20),
    }


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], Iterable[dict]]]:
    """Return what measures speeds and shares of the limits, ratios of the windows, and how graphs change the losses."""
    traces = Path(os.environ.get("TRACES") or tempfile.mkdtemp(prefix="ganrun-traces-"))
    traces.mkdir(exist_ok=True)
    print(f"Timelines for https://ui.perfetto.dev: {traces}")
    device = {"machine": f"{torch.cuda.get_device_name()}, torch {torch.__version__}"} if ON_CUDA else {}

    def named(results: Iterable[dict]) -> Iterable[dict]:
        return ({**result, **device} for result in results)

    def optimizations(work: Work) -> Iterable[dict]:
        limits, rows = measure_limits(is_quick), rounds or WINDOWS
        return named(measure_optimizations(shrink(work) if is_quick else work, limits, traces, rows))

    return {
        LIMITS: lambda: named([describe_limits(measure_limits(is_quick))]),
        **{work.name: partial(optimizations, work) for work in WORKS},
        COMPARISON: lambda: named([compare_losses(shrink(WORKS[0]) if is_quick else WORKS[0])]),
    }


def describe_limits(limits: dict[str, float]) -> dict:
    figures = {"bf16_tflops": round(limits["flops"] / 1e12, 1), "copied_gb_per_second": round(limits["bytes"] / 1e9, 1)}
    return {"work": LIMITS, **figures}


def shrink(work: Work) -> Work:
    return replace(work, overrides=[*work.overrides, *SMALL, "data.size=32"], images=20, batches=2)


def measure_optimizations(work: Work, limits: dict[str, float], traces: Path, windows: int = WINDOWS) -> Iterator[dict]:
    overrides, first = [], None
    for name, more in OPTIMIZATIONS.items():
        if name in NEEDS_CUDA and not ON_CUDA:
            continue
        overrides = [*overrides, *more]
        trace = traces / f"{work.name}-{name}.json.gz".replace(" ", "-").replace(",", "")
        watch = Watch(work.batches, name == FIRST, trace if ON_CUDA else None, windows)
        try:
            train(work, overrides, watch)
        except Exception as error:  # go on with the others
            yield {"work": f"{work.name}: {name}", "failed": str(error).splitlines()[0]}
            continue
        first = first or watch
        seconds = median(watch.seconds)
        result = {"work": f"{work.name}: {name}", "images_per_second": round(batch_size_of(work) / seconds)}
        result["percent_of_multiplying"] = round(100 * first.flops / seconds / limits["flops"], 2)
        result["percent_of_copying"] = round(100 * first.bytes / seconds / limits["bytes"], 2)
        if ON_CUDA:
            result |= {"kernels": watch.kernels, "percent_busy": round(100 * watch.busy / seconds, 1)}
            result["is_replayed"] = watch.is_replayed
        yield result
        if name != FIRST:
            ratios = [a / b for a, b in zip(first.seconds, watch.seconds, strict=True)]
            yield {"work": result["work"], "against": FIRST, "ratios": ratios}


def batch_size_of(work: Work) -> int:
    """Return the last batch_size= of the overrides, else the 1 of CycleGAN's config."""
    sizes = [o.split("=")[1] for o in work.overrides if o.startswith("batch_size=")]
    return int(sizes[-1]) if sizes else 1


def compare_losses(work: Work) -> dict:
    """Return the largest difference that graphs make to a loss, in float32, from the same seed."""
    exact = ["trainer.deterministic=true", "trainer.benchmark=false"]
    plain = train(work, exact, Losses()).seen
    replayed = train(work, [*exact, *(OPTIMIZATIONS["CUDA graphs"] if ON_CUDA else [])], Losses())
    difference = (torch.stack(plain) - torch.stack(replayed.seen)).abs().max().item()
    result = {"work": COMPARISON, "largest_difference": difference}
    return {**result, "is_replayed": replayed.is_replayed}

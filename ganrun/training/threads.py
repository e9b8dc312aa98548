"""The number of CPU threads of a run. Sums are split among them, so the last bits of its weights depend on it."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from ganrun.files import cpu_count

log = logging.getLogger(__name__)
LOOKS = 4  # 5 ms apart


def warn_if_busy(busy: Path = Path("/proc/loadavg")) -> None:
    """Warn if other processes keep so many CPUs busy that the threads of a new run would wait for each other."""
    threads, others = torch.get_num_threads(), count_running(busy) - 1
    if threads > 1 and (os.cpu_count() or 1) - others < threads:
        log.warning(
            "other processes keep %d CPUs of this machine busy. Beside them, %d threads wait for each other and can be "
            "many times slower than one. If this run is slow, start it with OMP_NUM_THREADS=1.",
            others,
            threads,
        )


def count_running(busy: Path) -> int:
    """Return how many threads of all processes run or wait for a CPU at each of a few looks, this one included.

    busy: the file in which Linux counts them. Averages over a minute would count the run that has just ended.
    """
    counts = []
    with suppress(OSError, ValueError, IndexError):  # other systems
        for _ in range(LOOKS):
            counts.append(int(busy.read_text().split()[3].split("/")[0]))
            time.sleep(0.005)
    return min(counts, default=1)


@contextmanager
def kept_threads(count: int | None) -> Iterator[None]:
    """Compute with as many CPU threads within the block as a run began with; None, or what it already is: no change."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    log.info("computing with %d CPU threads instead of %d, as the run began: the same weights", count, before)
    if torch.get_num_threads() != count:
        log.warning("PyTorch cannot use %d threads here: the last bits of the weights may differ", count)
    elif cpu_count() < count:
        log.warning("this machine has only %d CPUs, so %d threads are slow", cpu_count(), count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

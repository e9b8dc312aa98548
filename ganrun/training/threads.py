"""The number of CPU threads of a run. Sums are split among them, so the last bits of its weights depend on it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

from ganrun.files import cpu_count

log = logging.getLogger(__name__)


def warn_if_busy() -> None:
    """Warn if the machine has been so busy that the threads of a new run would wait for each other.

    What it did in the last minute counts, the start of this run included: that is up to one CPU.
    """
    threads, load = torch.get_num_threads(), 0.0
    with suppress(AttributeError, OSError):  # not on every system
        load = os.getloadavg()[0]
    if threads > 1 and (os.cpu_count() or 1) - load < threads - 1:
        log.warning(
            "this machine has been busy (a load of %.1f in the last minute). Beside other work, %d threads wait for "
            "each other and can be many times slower than one. If this run is slow, start it with OMP_NUM_THREADS=1.",
            load,
            threads,
        )


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

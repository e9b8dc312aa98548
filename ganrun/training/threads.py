"""The number of CPU threads of a run. Sums are split among them, so the last bits of its weights depend on it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ganrun.files import cpu_count

log = logging.getLogger(__name__)


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

"""Keeps threads that work at the same time within a limit of memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class MemoryBudget:
    """An amount of bytes that threads share: who needs more than is left waits for the others."""

    def __init__(self, total: int):
        self.total = self.left = total
        self._changed = Condition()

    @contextmanager
    def reserved(self, count: int) -> Iterator[None]:
        """Take `count` bytes, at most `total`, for the time of the block."""
        with self._changed:
            self._changed.wait_for(lambda: count <= self.left)
            self.left -= count
        try:
            yield
        finally:
            with self._changed:
                self.left += count
                self._changed.notify_all()

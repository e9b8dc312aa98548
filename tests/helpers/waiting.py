"""Waiting for another process."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], seconds: float = 120, describe: Callable[[], str] = str) -> None:
    """Return when the condition holds; fail with `describe()` if it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, describe()
        time.sleep(0.02)

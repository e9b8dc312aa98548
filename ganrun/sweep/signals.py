"""A sweep that is asked to end."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganrun.errors import Interrupted

log = logging.getLogger(__name__)


@contextmanager
def interrupt_on_signals(warned: Callable[[], None]) -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise Interrupted, each time; before that the first of them calls `warned`."""
    words = ["the jobs save and end; a second one stops at once"]

    def answer(signum, _):
        is_first = bool(words)
        log.info("%s: %s", signal.Signals(signum).name, words.pop() if is_first else "the jobs are stopped")
        if is_first:
            warned()
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, answer) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)

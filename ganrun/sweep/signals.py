"""A sweep that is asked to end."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganrun.errors import Interrupted

log = logging.getLogger(__name__)


@contextmanager
def answered(answer: Callable[[int], None]) -> Iterator[None]:
    """Within, SIGINT and SIGTERM call answer(signum), each time, and then what they called before."""

    def handler(signum, frame):
        answer(signum)
        if callable(before[signum]):
            before[signum](signum, frame)

    before = {signum: signal.signal(signum, handler) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, earlier in before.items():
            signal.signal(signum, earlier)


def interruption() -> Callable[[int], None]:
    """What raises Interrupted at a signal, each time, after a word on it."""
    words = ["the jobs save and end; a second one stops at once"]

    def answer(signum: int) -> None:
        log.info("%s: %s", signal.Signals(signum).name, words.pop() if words else "the jobs are stopped")
        raise Interrupted(signum)

    return answer

"""How a sweep answers Ctrl-C and SIGTERM."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ganrun.errors import Interrupted

log = logging.getLogger(__name__)


@contextmanager
def interrupt_on_signals(on_first: Callable[[], None]) -> Iterator[None]:
    """Raise Interrupted at every SIGINT and SIGTERM within the block; call `on_first` before the first one."""
    received: list[int] = []

    def handle(signum, _):
        received.append(signum)
        if len(received) == 1:
            log.info("%s: the jobs save and end. A second signal kills them.", signal.Signals(signum).name)
            on_first()
        else:
            log.info("%s: killing the jobs", signal.Signals(signum).name)
        raise Interrupted(signum)

    previous = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)

"""What is shown in a terminal: progress bars, times, log handlers."""

import logging
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import track

log = logging.getLogger(__name__)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03 or 2:03."""
    if seconds == float("inf"):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def progress(steps: Iterable, total: int, title: str) -> Iterable:
    """The steps, with a progress bar in a terminal and a line in the log elsewhere."""
    if not sys.stderr.isatty():
        log.info("%s", title)
        return steps
    return track(steps, description=title, total=total, console=Console(stderr=True), transient=True)


def handlers_of_terminal() -> list[logging.StreamHandler]:
    """The handlers that show ganrun's logs where the line is shown."""
    found = logging.getLogger("ganrun").handlers
    return [handler for handler in found if isinstance(handler, logging.StreamHandler) and handler.stream.isatty()]


def with_bar(items: Sequence, word: str) -> Iterable:
    """The items, one after the other, with a bar on stderr that goes when they are done."""
    return track(items, word, console=Console(stderr=True), transient=True)

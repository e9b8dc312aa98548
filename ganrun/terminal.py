"""Output in a terminal: progress bars, durations, log handlers."""

import logging
import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")
log = logging.getLogger(__name__)


def format_duration(seconds: float) -> str:
    """Format a duration as 1:02:03 (hours) or 2:03 (minutes); "?" for infinity."""
    if seconds == float("inf"):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def progress_bar(items: Iterable[T], title: str, total: int | None = None) -> Iterable[T]:
    """Iterate over `items` with a progress bar in a terminal; elsewhere log the title once.

    total: number of items, where `items` has no length.
    """
    if not sys.stderr.isatty():
        log.info("%s", title)
        return items
    return track(items, title, total=total, console=Console(stderr=True), transient=True)


def terminal_log_handlers() -> list[logging.StreamHandler]:
    """Return the log handlers of ganrun that write to a terminal."""
    handlers = logging.getLogger("ganrun").handlers
    return [handler for handler in handlers if isinstance(handler, logging.StreamHandler) and handler.stream.isatty()]

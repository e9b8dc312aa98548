"""Output in a terminal: durations, progress bars, displays that are redrawn in place."""

import logging
import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
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


class LiveDisplay:
    """A line or table on stderr that is redrawn in place; logs appear above it. It starts at once."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        handlers = [h for h in logging.getLogger("ganrun").handlers if isinstance(h, logging.StreamHandler)]
        # rich replaces sys.stderr to print above the display, but log handlers still hold the old stream.
        self._streams = {handler: handler.setStream(sys.stderr) for handler in handlers if handler.stream.isatty()}

    def update(self, content: RenderableType) -> None:
        self._live.update(content, refresh=True)

    def stop(self) -> None:
        for handler, stream in self._streams.items():
            handler.setStream(stream)
        self._live.stop()

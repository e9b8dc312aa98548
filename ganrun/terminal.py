"""Output in a terminal: tables and texts, log messages, durations, progress bars, displays redrawn in place."""

import copy
import logging
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.protocol import is_renderable
from rich.table import Table
from rich.text import Text

from ganrun.errors import printable

T = TypeVar("T")
log = logging.getLogger(__name__)
format_any_warning = warnings.formatwarning  # Python's own


class PlainConsole(Console):
    """Prints each string as one line and as it is: what looks like markup, an emoji code or a control is only shown.

    Several strings make several lines, with sep="\\n".
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, **options)

    def print(self, *items: Any, **options: Any) -> None:
        super().print(*(item if is_renderable(item) else str(item) for item in items), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


class LogFormatter(logging.Formatter):
    """Formats a message so that nothing in its arguments can start a new line or control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        record, args = copy.copy(record), record.args
        if isinstance(args, Mapping):
            record.args = {key: escape_argument(value) for key, value in args.items()}
        else:
            record.args = tuple(map(escape_argument, args or ()))
        return printable(super().format(record), keep="\n\t")


def escape_argument(value: object) -> object:
    return value if isinstance(value, int | float) else printable(value)


def configure_logging() -> None:
    """Print ganrun's log messages to stderr, as plain lines, and warnings without controls of the terminal."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter())
    logger = logging.getLogger("ganrun")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    warnings.formatwarning = format_warning


def format_warning(*args: Any, **options: Any) -> str:
    return printable(format_any_warning(*args, **options), keep="\n\t")


def format_duration(seconds: float) -> str:
    """Format a duration as 1:02:03 (hours) or 2:03 (minutes); "?" for infinity."""
    if seconds == float("inf"):
        return "?"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def format_length(kimg: float | None, minutes: float | None) -> str:
    """Format the limits of a training, of which None is no limit: "20 kimg or 2 minutes"."""
    limits = {"kimg": kimg, "minute" if minutes == 1 else "minutes": minutes}
    return " or ".join(f"{limit:g} {unit}" for unit, limit in limits.items() if limit is not None)


def round_bytes(count: float) -> str:
    """Format a number of bytes with three digits: 3.21 MB."""
    power = min(max(len(str(round(count))) - 1, 0) // 3, 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def progress_bar(items: Iterable[T], title: str, total: int | None = None) -> Iterable[T]:
    """Iterate over `items` with a progress bar in a terminal; elsewhere log the title once.

    total: number of items, where `items` has no length.
    """
    if not sys.stderr.isatty():
        log.info("%s", title)
        return items
    columns = TextColumn(printable(title), markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    bar = Progress(*columns, console=PlainConsole(stderr=True), transient=True)
    return track_items(bar, items, total)


def track_items(bar: Progress, items: Iterable[T], total: int | None) -> Iterable[T]:
    with bar:
        yield from bar.track(items, total)


def join_fields(fields: Sequence[str], width: int | None = None) -> str:
    """Return the first of the fields that fit into a line of `width` columns, as many as possible; all without it."""
    line = fields[0]
    for field in fields[1:]:
        if width is not None and cell_len(f"{line}  {field}") > width:
            break
        line = f"{line}  {field}"
    return line


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show in a terminal what takes time, until the block ends. Nothing else may be redrawn meanwhile."""
    if not sys.stderr.isatty():
        yield
        return
    display = LiveDisplay()
    display.update(text)
    try:
        yield
    finally:
        display.stop()


class LiveDisplay:
    """A line or table on stderr that is redrawn in place; logs appear above it. It starts at once."""

    def __init__(self) -> None:
        self._live = Live(console=PlainConsole(stderr=True), auto_refresh=False, transient=True)
        self._live.start()
        handlers = [h for h in logging.getLogger("ganrun").handlers if isinstance(h, logging.StreamHandler)]
        handlers = [h for h in handlers if not isinstance(h, logging.FileHandler)]
        # rich replaces sys.stderr to print above the display, but log handlers still hold the old stream.
        self._streams = {handler: handler.setStream(sys.stderr) for handler in handlers if handler.stream.isatty()}

    @property
    def width(self) -> int:
        """The columns of the terminal, which may change."""
        return self._live.console.width

    def update(self, content: Table | str) -> None:
        """Show a table, or a text on one line."""
        is_text = isinstance(content, str)
        shown = Text(printable(content), no_wrap=True, overflow="ellipsis") if is_text else content
        self._live.update(shown, refresh=True)

    def stop(self) -> None:
        for handler, stream in self._streams.items():
            handler.setStream(stream)
        self._live.stop()

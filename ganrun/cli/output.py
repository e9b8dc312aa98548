"""Output to a terminal that may be closed while a command runs."""

import errno
import io
import sys
from typing import Any


class TerminalFile(io.FileIO):
    """The file of a terminal. What is written after the terminal was closed is dropped, instead of raising EIO."""

    def __init__(self, stream: io.TextIOWrapper):
        super().__init__(stream.fileno(), "w", closefd=False)
        self.stream = stream  # which would close the file if nothing referred to it

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


def outlive_terminal() -> None:
    """Let stdout and stderr drop what is written to a terminal after it was closed: a training goes on, or saves."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty() and not is_wrapped(stream):
            stream.flush()
            file = io.BufferedWriter(TerminalFile(stream))
            wrapped = io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=True)
            setattr(sys, name, wrapped)


def is_wrapped(stream: io.TextIOWrapper) -> bool:
    return isinstance(getattr(stream.buffer, "raw", None), TerminalFile)

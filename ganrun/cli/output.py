"""The standard streams: closed, full, of a terminal that goes away, or in an encoding without some characters."""

import errno
import io
import os
import sys
from typing import Any, TextIO

from ganrun.errors import Failure


class StandardFile(io.FileIO):
    """The file of stdout or stderr. What cannot be written is dropped: a training goes on, or saves.

    failure: the reason of the first write that failed. A terminal that was closed does not count.
    """

    failure = ""

    def __init__(self, stream: io.TextIOWrapper):
        super().__init__(stream.fileno(), "w", closefd=False)
        self.stream = stream  # which would close the file if nothing referred to it

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except BrokenPipeError:
            if self.stream is not sys.__stderr__:  # `ganrun list | head` ends the command
                raise
        except OSError as error:
            self.failure = self.failure or ("" if error.errno == errno.EIO else str(error.strerror))
        return len(data)


def prepare_streams() -> None:
    """Let stdout and stderr take any text, and drop what they cannot write. Closed ones lead to nowhere.

    Without this, the first file that the command opens would get the number of a closed stream, and its output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            open_nowhere(number, name)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if is_own(stream, name) and not is_wrapped(stream):
            stream.flush()
            is_unbuffered = stream.line_buffering or stream.write_through
            file = io.BufferedWriter(StandardFile(stream))
            setattr(
                sys, name, io.TextIOWrapper(file, stream.encoding, "backslashreplace", line_buffering=is_unbuffered)
            )


def open_nowhere(number: int, name: str) -> None:
    """Let the closed stream of this number read nothing, or drop what is written."""
    handle = os.open(os.devnull, os.O_RDWR)
    if handle != number:
        os.dup2(handle, number)
        os.close(handle)
    os.set_inheritable(number, True)
    if getattr(sys, name) is None:
        setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def is_own(stream: TextIO | None, name: str) -> bool:
    """Return whether a stream is the process's own, or a terminal, and not one that an application has put there."""
    return isinstance(stream, io.TextIOWrapper) and (stream is getattr(sys, f"__{name}__") or stream.isatty())


def is_wrapped(stream: io.TextIOWrapper) -> bool:
    return isinstance(getattr(stream.buffer, "raw", None), StandardFile)


def check_stdout() -> None:
    """Write what is left in the buffer of stdout. Raises Failure if some of the output could not be written."""
    sys.stdout.flush()
    file = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(file, StandardFile) and (failure := file.failure):
        raise Failure(
            f"Cannot write to stdout ({failure}), so output is missing. The files of the command are complete."
        )

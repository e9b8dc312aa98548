"""ganrun logs: prints the messages of a run, and with -f those that come until it ends."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganrun.cli.runs.live import take_run
from ganrun.errors import UserError, print_text
from ganrun.files import open_regular
from ganrun.terminal import configure_logging, log
from ganrun.training.run_folder import read_status
from ganrun.training.runs.states import observe_state

LOG = "train.log"
LONGEST = 2**16  # bytes of a line
PAUSE = 0.25  # seconds


def main(args: Sequence[str]) -> int:
    """Print train.log. --follow: go on until the run ends. Settings: lines= prints so many of the last lines."""
    configure_logging()
    folder, settings = take_run("logs", [arg for arg in args if arg != "--follow"], ("lines",), uses_registry=True)
    count, follow = line_count(settings), "--follow" in args
    if not follow and not (folder / LOG).exists():
        log.info("%s has no %s: nothing was logged there", folder, LOG)
    lines = [*read_lines(folder, 0)]
    for line, _ in lines if count is None else lines[max(0, len(lines) - count) :]:
        print_text(line)
    if follow:
        follow_log(folder, lines[-1][1] if lines else 0)
    return 0


def line_count(settings: dict[str, str]) -> int | None:
    """Return the setting lines=, None if it is not given."""
    text = settings.get("lines")
    if text is not None and not text.isdecimal():
        raise UserError(f"lines must be a whole number, got {text}. For example: lines=20")
    return None if text is None else int(text)


def follow_log(folder: Path, position: int) -> None:
    """Print the lines after this position of the file as they come, until the run has ended."""
    is_live = True
    while is_live:
        is_live = observe_state(
            folder, read_status(folder)
        ).is_live  # first: what it wrote before its end is read below
        for line, end in read_lines(folder, position):
            print_text(line)
            position = end
        sys.stdout.flush()
        if is_live:
            time.sleep(PAUSE)
    log.info("%s has ended: %s", folder, observe_state(folder, read_status(folder)))


def read_lines(folder: Path, position: int) -> Iterator[tuple[str, int]]:
    """Yield the whole lines after a position in train.log, each with the position after it."""
    try:
        with open_regular(folder / LOG) as file:
            size = file.seek(0, 2)
            file.seek(position if position <= size else 0)  # it was replaced by a shorter one
            while (text := file.readline(LONGEST)) and (text.endswith(b"\n") or len(text) == LONGEST):
                yield text.decode(errors="backslashreplace"), file.tell()
    except FileNotFoundError:
        return

"""Errors whose message is all that a user needs, and how messages are printed: without a traceback, nothing hidden."""

import errno
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

MAX_NAMES_LISTED = 60
# What a terminal acts on or hides: control characters (ESC among them), invisible ones, line separators, characters
# that reverse the direction of the text, halves of surrogate pairs (bytes of a file name that are not UTF-8). Joiners
# stay, as emoji and several scripts need them.
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


class UserError(Exception):
    """A wrong command or setting. The message says what was found, what is allowed and the command that fixes it."""

    exit_code = 2


class Failure(UserError):
    """A run that could not continue although the command was right: a full disk, a loss of NaN."""

    exit_code = 1


class Interrupted(BaseException):
    """A training that a signal ended, after everything was saved."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def is_full_disk(error: BaseException) -> bool:
    """Return whether the disk is full or the user's quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def suggest(names: Sequence[str]) -> str:
    """Return a clause with what the user may have meant: ' Did you mean gan or wgan?', or nothing for no names."""
    return f" Did you mean {' or '.join(names)}?" if names else ""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return a clause with the nearest of `allowed` and all of them: ' Did you mean wgan? Allowed: gan, wgan.'

    Of more than MAX_NAMES_LISTED names only the nearest are given.
    """
    names = sorted(allowed)
    guess = suggest(get_close_matches(name, names, n=3, cutoff=0.5))
    return guess if len(names) > MAX_NAMES_LISTED else f"{guess} Allowed: {', '.join(names)}."


def printable(text: object, keep: str = "") -> str:
    r"""Return the text as one line that a terminal only displays: ESC becomes \x1b, the end of a line \n.

    keep: control characters that stay.
    """
    return CONTROLS.sub(lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], str(text))


def print_error(message: object) -> None:
    """Print the message of an error, which may quote files of strangers, as one line on stderr."""
    print(f"ganrun: {printable(message)}", file=sys.stderr)


def print_traceback(error: BaseException) -> None:
    """Print an unexpected error with its traceback on stderr."""
    sys.stderr.write(printable("".join(traceback.format_exception(error)), keep="\n\t"))


def print_text(text: str) -> None:
    """Print a text of several lines on stdout."""
    sys.stdout.write(printable(text, keep="\n\t"))

"""Errors whose message is all that a user needs: the command line prints it without a traceback."""

import errno
import signal
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

MAX_NAMES_LISTED = 60


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

"""A mistake that its user can mend, as an exception."""

import errno
import signal
from collections.abc import Iterable
from difflib import get_close_matches

MAX_NAMES_LISTED = 60  # names that nobody reads through


class UserError(Exception):
    """Its message is all that is shown: what was found, what is allowed, the command that mends it."""

    exit_code = 2


class Failure(UserError):
    """A run that could not go on, though the command was right: a full disk, a loss that is no number."""

    exit_code = 1


class Interrupted(BaseException):
    """A training that was asked to end by a signal, after everything was saved."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def is_full_disk(error: BaseException) -> bool:
    """Whether the system says that there is no room left, or that a user's quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """A clause that names the nearest of `allowed`, and all of them: ' Did you mean "wgan"? Allowed: gan, wgan.'

    Of more than MANY only the nearest.
    """
    names = sorted(allowed)
    near = get_close_matches(found, names, n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return guess if len(names) > MAX_NAMES_LISTED else f"{guess} Allowed: {', '.join(names)}."

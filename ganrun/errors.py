"""Errors whose message is all that a user needs, and how messages are printed: without a traceback, nothing hidden."""

import atexit
import errno
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

STOP_SIGNALS = tuple(  # a closed terminal or dropped connection sends SIGHUP, which Windows does not have
    signal.Signals[name] for name in ("SIGTERM", "SIGINT", "SIGHUP") if name in signal.Signals.__members__
)
MAX_NAMES_LISTED = 60
LONGEST_NAME = 200  # characters of a path in a message
# What torch says, of the CPU and of a GPU, and NumPy and cuDNN
NO_MEMORY = re.compile(r"out of memory|can't allocate memory|Unable to allocate|ALLOC_FAILED")
MEMORY_SIZE = r"\d[\d.]* ?[KMGTP]?i?(?:B|bytes)"  # in such a message
# What a terminal acts on or hides: control characters (ESC among them), invisible ones, line separators, characters
# that reverse the direction of the text, halves of surrogate pairs (bytes of a file name that are not UTF-8). Joiners
# stay, as emoji and several scripts need them.
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


class UserError(Exception):
    """A wrong command or setting. The message says what was found, what is allowed and the command that fixes it."""

    exit_code = 2


class UntrustedError(UserError):
    """Files that ganrun uses only if they are the user's own. The message ends with the command that trusts them.

    advice: the message before it.  command: None: the one that is running, with trust=true.
    """

    def __init__(self, advice: str, command: str | None = None):
        super().__init__(f"{advice}: {command or ganrun_command(*sys.argv[1:], 'trust=true')}")
        self.advice = advice


class Failure(UserError):
    """A run that could not continue although the command was right: a full disk, a loss of NaN."""

    exit_code = 1


class Interrupted(BaseException):
    """A command that a signal ended; a training has saved everything before."""

    def __init__(self, signum: int):
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def heeded_signals(*more: signal.Signals) -> list[signal.Signals]:
    """Return the STOP_SIGNALS, and these, that the process does not ignore: nohup makes it ignore SIGHUP.

    Empty outside the main thread, where Python cannot set handlers.
    """
    is_main_thread = threading.current_thread() is threading.main_thread()
    signums = (*STOP_SIGNALS, *more) if is_main_thread else ()
    return [signum for signum in signums if signal.getsignal(signum) != signal.SIG_IGN]


def is_repeated(signum: int, earlier: Iterable[int]) -> bool:
    """Return whether the user asks again to stop, and now at once, after these signals.

    SIGHUP does not count: a terminal that closes sends it several times, and often SIGTERM follows it.
    """
    hang_up = getattr(signal, "SIGHUP", None)
    return signum != hang_up and any(each != hang_up for each in earlier)


@contextmanager
def interrupted_by(signums: Iterable[signal.Signals], on_signal: Callable[[int, bool], None] | None = None):
    """Raise Interrupted in the block at the first of these signals, and whenever one asks again; see `is_repeated`.

    on_signal: is called before, with the signal's number and whether it asks again.
    """
    received: list[int] = []

    def handle(signum: int, _) -> None:
        is_first, asks_again = not received, is_repeated(signum, received)
        received.append(signum)
        if is_first or asks_again:
            if on_signal:
                on_signal(signum, asks_again)
            raise Interrupted(signum)

    before = {signum: signal.signal(signum, handle) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def as_system_failure(error: BaseException) -> UserError | None:
    """Return the error for what the system refused, a UserError for a name that is too long; None for other errors."""
    if is_out_of_memory(error):
        size = re.search(rf"[aA]llocate ({MEMORY_SIZE})", str(error))
        amount = f"{size[1]} at once" if size else "what this takes"
        return Failure(f"Out of memory: there is no room for {amount}. Ask for less, such as a smaller batch_size=.")
    reason = describe_system_error(error) if isinstance(error, OSError) else ""
    is_name = isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
    return (UserError if is_name else Failure)(reason) if reason else None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, torch or CUDA could not allocate memory."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def is_full_disk(error: BaseException) -> bool:
    """Return whether the disk is full or the user's quota is used up."""
    is_numpy_error = isinstance(error, OSError) and error.errno is None and " requested and " in str(error)
    return is_numpy_error or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


def describe_system_error(error: OSError) -> str:
    """Return what the system refused, on which file: "a/b: Permission denied."; "" if no file or limit is at fault."""
    if is_full_disk(error):
        place = f" ({error.filename})" if error.filename else ""
        return f"The disk is full{place}. Free some space and run the command again."
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{error.strerror}: the system allows no more. Raise the limit, as with: ulimit -n 4096"
    if error.filename is None or error.errno is None:
        return ""
    name = printable(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename)
    return f"{shorten(name)}: {error.strerror}."


def shorten(path: str) -> str:
    """Return a path as messages show it."""
    return path if len(path) <= LONGEST_NAME else f"{path[:LONGEST_NAME]}..."


def suggest(names: Sequence[str]) -> str:
    """Return a clause with what the user may have meant: ' Did you mean gan or wgan?', or nothing for no names."""
    return f" Did you mean {' or '.join(names)}?" if names else ""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return a clause with the nearest of `allowed` and all of them: ' Did you mean wgan? Allowed: gan, wgan.'

    Of more than MAX_NAMES_LISTED names only the nearest are given; "" if nothing is allowed.
    """
    names = sorted(allowed)
    if not names:
        return ""
    by_folded = {known.lower(): known for known in names}
    nearest = get_close_matches(name.lower().replace("-", "_"), [*by_folded], n=3, cutoff=0.5)
    guess = suggest([by_folded[known] for known in nearest])
    return guess if len(names) > MAX_NAMES_LISTED else f"{guess} Allowed: {', '.join(names)}."


def ganrun_command(*args: object) -> str:
    """Return the command as bash takes it, to be given in a message. A Path is always read as one."""
    texts = [path_argument(arg) if isinstance(arg, Path) else str(arg) for arg in args]
    return " ".join(["ganrun", *map(shell_quote, texts)])


def path_argument(path: Path) -> str:
    """Return a path that is not mistaken for a flag, a setting, a home folder or the word last."""
    text = str(path)
    return f"./{text}" if re.match(r"[-~+]|[^/]*=|last$", text) else text


def shell_quote(arg: str) -> str:
    """Return an argument as bash takes it, without characters that a terminal hides or acts on."""
    if CONTROLS.search(arg):
        is_plain = [32 <= byte < 127 and chr(byte) not in "'\\" for byte in os.fsencode(arg)]
        codes = (chr(b) if plain else f"\\x{b:02x}" for b, plain in zip(os.fsencode(arg), is_plain, strict=True))
        return f"$'{''.join(codes)}'"
    return f'"{arg}"' if "'" in arg and not re.search(r'["$`\\!]', arg) else shlex.quote(arg)


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


def end_process(code: Any) -> NoReturn:
    """End this process as sys.exit does, but without freeing the objects of all modules, which has no use by now.

    Libraries that count their objects, as Triton does, would report those that the garbage collector leaves alone.
    code: as of SystemExit.
    """
    threading._shutdown()  # waits for threads, as Python does  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print_error(code)
        code = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream and not stream.closed:
                stream.flush()
    except OSError:
        code = code or 1
    os._exit(code or 0)

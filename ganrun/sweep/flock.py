"""The system's lock on a file, which is freed when the last process that holds it ends.

Not the package filelock: a signal interrupts a sweep by an exception, after which a lock of filelock may stay locked,
and the jobs of a sweep inherit the locks of their GPUs.
"""

from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def flock(file: IO, wait: bool = True) -> bool:
    """Lock an open file until it is closed. Return False if another process has the lock and `wait` is false."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if wait:
            raise
        return False
    return True

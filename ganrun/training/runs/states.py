"""The state of a run as it is, which its status.json alone does not tell: a process that was killed says nothing."""

import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from ganrun.training.lock import LOCK_FILE, has_lost_lock, is_locked, read_owner
from ganrun.training.run_folder import STATUS

WRITTEN = ("metrics.jsonl", STATUS, "train.log", LOCK_FILE, "checkpoints")  # what a training writes to as it goes on
SILENCE = 24 * 3600  # seconds without a change after which a run of another machine counts as dead


class RunState(str, Enum):
    """The states in the order in which they are listed."""

    RUNNING = "running"  # a process holds its lock
    ELSEWHERE = "elsewhere"  # says that it runs on another machine, whose locks may be invisible from here
    DEAD = "dead"  # says that it runs, but nobody holds its lock: it was killed
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PRUNED = "pruned"
    DONE = "done"
    EMPTY = "empty"  # ended before its training began
    DAMAGED = "damaged"  # its status.json cannot be read

    __str__ = str.__str__

    @property
    def is_live(self) -> bool:
        return self in (RunState.RUNNING, RunState.ELSEWHERE)


STATED = {"failed", "interrupted", "pruned", "done"}  # states that status.json may give, besides running


def observe_state(folder: Path, status: Mapping[str, Any]) -> RunState:
    """Return the state of a run. status: what its status.json says, {} if it is missing or damaged."""
    stated = status.get("state")
    if is_locked(folder) and (stated == "running" or can_read_lock(folder)):
        return RunState.RUNNING
    if stated == "running":
        if is_active_elsewhere(folder, status):
            return RunState.ELSEWHERE
        return RunState.RUNNING if has_lost_lock(folder, status.get("pid")) else RunState.DEAD
    if stated in STATED:
        return RunState(stated)
    return RunState.DAMAGED if os.path.lexists(folder / STATUS) else RunState.EMPTY


def can_read_lock(folder: Path) -> bool:
    """Return whether it can be known who holds the lock. If not, `is_locked` says yes."""
    return os.access(folder / LOCK_FILE, os.R_OK)


def is_active_elsewhere(folder: Path, status: Mapping[str, Any]) -> bool:
    """Return whether a run says that it is on another machine, and has written something in the last day."""
    host = read_owner(folder).get("host") or status.get("host")
    return bool(host) and host != platform.node() and time.time() - last_change(folder) < SILENCE


def last_change(folder: Path) -> float:
    """Return when a training has last written to its folder, in seconds since 1970; 0 if that is unknown."""
    times = [0.0]
    for name in WRITTEN:
        with suppress(OSError):
            times.append((folder / name).lstat().st_mtime)
    return max(times)

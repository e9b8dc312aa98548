"""Runs the real command and measures it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from threading import Timer

LIMIT = 10**9  # bytes, of the whole process, torch included
PATIENCE = 10  # seconds more than the same command takes on harmless input


@dataclass
class Outcome:
    code: int
    err: str
    seconds: float
    peak: int  # bytes


def run_measured(*args: str, cwd=None, timeout: float = 120) -> Outcome:
    """Call `ganrun` with these arguments in a process of its own, which is killed after `timeout` seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", "ganrun", *args]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        killer = Timer(timeout, process.kill)
        killer.start()
        err = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    return Outcome(process.returncode, err, time.monotonic() - start, usage.ru_maxrss * 1024)

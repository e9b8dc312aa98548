"""Runs the real command and measures it."""

import os
import signal
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


# A process begins with the peak of the one that starts it, which after other tests can be 1 GB: this one is small
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def run_measured(*args: str, cwd=None, timeout: float = 120) -> Outcome:
    """Call `ganrun` with these arguments in a process of its own, which is killed after `timeout` seconds."""
    start, pipe = time.monotonic(), subprocess.PIPE
    command = [sys.executable, "-I", "-c", MEASURE, sys.executable, "-m", "ganrun", *args]
    with subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        killer = Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        out, err = process.communicate()
        killer.cancel()
    code, peak = map(int, out.split()) if out else (-signal.SIGKILL, 0)
    return Outcome(code, err, time.monotonic() - start, peak * 1024)

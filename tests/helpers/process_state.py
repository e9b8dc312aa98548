"""What a program can find out about its process: `print_state` prints it as JSON."""

import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import warnings

import numpy
import torch
from hydra.core.global_hydra import GlobalHydra

MADE_BY_TORCH = f"{tempfile.gettempdir()}/tmp"  # a folder for generated modules, which torch 2.6 adds


def print_state() -> None:
    """Print two tables: what every new process has alike, and what is different in each."""
    numbers = [number for number in range(100) if os.path.exists(f"/proc/self/fd/{number}")]
    alike = {
        "argv": sys.argv[:-1],
        "path": [path for path in sys.path if not path.startswith(MADE_BY_TORCH)],
        "modules": sorted(sys.modules),
        "meta_path": [type(finder).__name__ for finder in sys.meta_path],
        "environment": {**os.environ},
        "folder": os.getcwd(),
        "parent": os.getppid(),
        "leads": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "signals": {int(signum): str(signal.getsignal(signum)) for signum in signal.valid_signals() if signum < 32},
        "blocked": [str(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "limits": [resource.getrlimit(limit) for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)],
        "files": [os.path.basename(os.readlink(f"/proc/self/fd/{number}")) for number in numbers],
        "streams": [describe_stream(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "threads": [threading.active_count(), len(os.listdir("/proc/self/task")), torch.get_num_threads()],
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 100_000],
        "warnings": [str(entry) for entry in warnings.filters],
        "locale": locale.setlocale(locale.LC_ALL),
        "handlers": [str(logging.getLogger(name).handlers) for name in ("", "ganrun", "pytorch_lightning")],
        "hydra": GlobalHydra.instance().is_initialized(),
        "cuda": torch.cuda.is_initialized(),
        "spec": str(sys.modules["__main__"].__spec__),
    }
    different = [random.random(), numpy.random.random(), torch.rand(1).item()]
    print(json.dumps([alike, different]))


def describe_stream(stream) -> list:
    return [stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty()]

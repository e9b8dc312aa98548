"""A process that has imported ganrun and forks a child for each command: hundreds of commands in a minute or two."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ganrun.cli.main import main
from ganrun.sweep.executors.fork_server import ForkServer, serve

ROOT = Path(__file__).resolve().parents[1]
START = f"import sys; sys.path[:1] = [{str(ROOT)!r}]; from helpers import warm; warm.start()"
TRACED = "GANRUN_TRACED"  # a folder of modules, and the file for the lines of them that are executed


@dataclass
class Finished:
    """How a command ended.

    code: its exit code, minus the signal number if a signal killed it; None if it took too long.  text: all it printed.
    peak: of its memory in bytes, without what the imports take.  seconds: of CPU.
    lines: that it executed, as FILE:NUMBER, if they were recorded.
    """

    code: int | None
    text: str
    peak: int
    seconds: float
    lines: frozenset[str] = frozenset()


class WarmProcess:
    """Forks a child for each command that `run` gets. Use it as a context."""

    def __enter__(self) -> "WarmProcess":
        environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT.parent}:{ROOT}"}
        self.server = ForkServer(environment, [sys.executable, "-c", START])
        return self

    def __exit__(self, *_) -> None:
        self.server.close()

    def run(
        self, args: list[str], cwd: Path, output: Path, env: dict[str, str], timeout: float = 60, traced: str = ""
    ) -> Finished:
        """Run `ganrun` with the arguments in a child whose output goes to the file `output`. env: added to ours.

        traced: a folder of modules, of which the lines that are executed are recorded.
        """
        lines = Path(f"{output}.lines")
        with output.open("wb") as file:
            env = {**env, TRACED: json.dumps([traced, str(lines)])} if traced else env
            child = self.server.start(args, file, env, cwd=str(cwd))
        deadline, is_late = time.monotonic() + timeout, False
        while child.poll() is None:
            time.sleep(0.01)
            if is_late := time.monotonic() > deadline:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        usage = child.usage
        return Finished(
            code=None if is_late else child.returncode,
            text=output.read_bytes().decode(errors="surrogateescape"),
            peak=usage.ru_maxrss * 1024,
            seconds=usage.ru_utime + usage.ru_stime,
            lines=frozenset(lines.read_text().splitlines() if traced else ()),
        )


def start() -> None:
    """Be the server."""
    serve(int(sys.argv[1]), run_command)


def run_command() -> int:
    """Run the command of this child and return its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if TRACED not in os.environ:
        return main()
    (folder, path), lines = json.loads(os.environ.pop(TRACED)), set[str]()
    sys.settrace(build_tracer(folder, lines))
    try:
        return main()
    finally:
        sys.settrace(None)
        Path(path).write_text("\n".join(lines))


def build_tracer(folder: str, lines: set[str]) -> Callable:
    """Return a function for sys.settrace that adds the lines of the modules in this folder that are executed."""

    def trace(frame: FrameType, event: str, _) -> Callable | None:
        if not frame.f_code.co_filename.startswith(folder):
            return None
        lines.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    return trace

"""A process that has imported ganrun and forks a child for each command: hundreds of commands in a minute or two."""

import gc
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

START = "import sys; sys.path[:1] = [{path!r}]; from helpers import warm; warm.serve()"


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
        root = Path(__file__).resolve().parents[1]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root.parent}:{root}"}
        command = [sys.executable, "-c", START.format(path=str(root))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, cwd=root
        )
        return self

    def __exit__(self, *_) -> None:
        self.process.communicate()

    def run(
        self, args: list[str], cwd: Path, output: Path, env: dict[str, str], timeout: float = 60, traced: str = ""
    ) -> Finished:
        """Run `ganrun` with the arguments in a child whose output goes to the file `output`. env: added to ours.

        traced: a folder of modules, of which the lines that are executed are recorded.
        """
        request = {"args": args, "cwd": str(cwd), "output": str(output), "env": env, "timeout": timeout}
        request["traced"] = traced
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        lines = Path(f"{output}.lines").read_text().splitlines() if traced else ()
        return Finished(text=output.read_bytes().decode(errors="surrogateescape"), lines=frozenset(lines), **answer)


def serve() -> None:
    """Import ganrun, then answer requests from stdin until it is closed."""
    import ganrun

    for module in pkgutil.walk_packages(ganrun.__path__, "ganrun."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run_child(json.loads(line))), file=answers, flush=True)


def run_child(request: dict) -> dict:
    """Fork a child for one request, wait for it, and kill its group if it takes too long."""
    pid = os.fork()
    if pid == 0:
        os._exit(run_command(request))
    deadline, code = time.monotonic() + request["timeout"], 0
    done, status, usage = os.wait4(pid, os.WNOHANG)
    while not done and code is not None:
        time.sleep(0.01)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            code = None
        done, status, usage = os.wait4(pid, os.WNOHANG if code is not None else 0)
    code = None if code is None else os.waitstatus_to_exitcode(status)
    return {"code": code, "peak": usage.ru_maxrss * 1024, "seconds": usage.ru_utime + usage.ru_stime}


def run_command(request: dict) -> int:
    """Run the command in this child and return its exit code."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    handle = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, handle), (2, handle)):
        os.dup2(source, target)
    sys.argv = ["ganrun", *request["args"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code, lines = 1, set[str]()
    if request["traced"]:
        sys.settrace(build_tracer(request["traced"], lines))
    try:
        from ganrun.cli.main import main

        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.settrace(None)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if request["traced"]:
            Path(f"{request['output']}.lines").write_text("\n".join(lines))
    return code


def build_tracer(folder: str, lines: set[str]) -> Callable:
    """Return a function for sys.settrace that adds the lines of the modules in this folder that are executed."""

    def trace(frame: FrameType, event: str, _) -> Callable | None:
        if not frame.f_code.co_filename.startswith(folder):
            return None
        lines.add(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    return trace

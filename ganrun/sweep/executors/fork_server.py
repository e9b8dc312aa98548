"""A process that has done the imports of a training, and forks one for each job of a sweep in a fraction of their time.

The server has no threads, has not touched CUDA and has imported no module of the user: a fork of it is as good as a new
Python. It forks each job by a process between them, which ends at once. Linux then gives the job to the sweep, which
asks for that meanwhile (PR_SET_CHILD_SUBREAPER). So the sweep is the parent of its jobs, as if it had started them
itself: it gets their exit codes, they get SIGTERM when it is gone, and neither a job nor the server can harm the other.

Not the forkservers of multiprocessing: there is one per program, not per sweep, with an environment that cannot be
chosen, and before Python 3.13 they search the working folder for modules. Their processes run the main module again.
"""

import ctypes
import gc
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import IO, Any, NoReturn

import ganrun
from ganrun.errors import end_process, print_traceback
from ganrun.sweep.executors.base import PROGRAM, RANK_VARIABLES

FLAG = "--fork-server"  # of ganrun/__main__.py, before the number of the server's socket
HAS_FORK = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
MAX_REQUEST = 2**16  # bytes that are received at once
MAX_FILES = 128
PID_BYTES = 8


class ForkedProcess:
    """A process that the server has forked for this one, in the manner of subprocess.Popen.

    usage: its resource.struct_rusage, once it has ended.
    """

    def __init__(self, pid: int):
        self.pid = pid
        self.returncode: int | None = None
        self.usage: Any = None

    def poll(self) -> int | None:
        """Return the exit code, minus the signal number if a signal killed it; None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        return self._wait(0)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:  # else another process may have its number
            os.kill(self.pid, signum)

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status, usage = os.wait4(self.pid, options)
            if pid:
                self.returncode, self.usage = os.waitstatus_to_exitcode(status), usage
        return self.returncode


class ForkServer:
    """Starts processes that run `ganrun`, of one server. Its methods raise OSError if the server has ended.

    env: variables added to those of this process, for the server and all its processes.
    program: starts the server, which calls `serve` with the number that is its last argument.
    """

    def __init__(self, env: Mapping[str, str], program: Sequence[str] = (*PROGRAM, FLAG)):
        inherited = {name: value for name, value in os.environ.items() if name not in RANK_VARIABLES}
        self.connection, connection = socket.socketpair()
        with connection:
            self.process = subprocess.Popen(
                [*program, str(connection.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**inherited, **env, "PYTHONUNBUFFERED": "1"},
                pass_fds=[connection.fileno()],
                start_new_session=True,  # Ctrl-C does not reach it
            )

    def start(
        self, args: Sequence[str], output: IO, env: Mapping[str, str], locks: Sequence[IO] = (), cwd: str | None = None
    ) -> ForkedProcess:
        """Start a process with these arguments in a session of its own, as soon as the server has done its imports.

        output: file of its stdout and stderr.  env: variables added to those of the server.
        locks: lock files that the process holds, too.  cwd: its working folder, if not that of the server.
        """
        request = json.dumps({"args": [*args], "env": {**env}, "cwd": cwd}).encode() + b"\n"
        files = [output.fileno(), *(lock.fileno() for lock in locks)]
        set_process_option(PR_SET_CHILD_SUBREAPER, 1)
        try:
            sent = socket.send_fds(self.connection, [request], files)
            self.connection.sendall(request[sent:])
            pid = int.from_bytes(self.connection.recv(PID_BYTES), "big")
        finally:
            set_process_option(PR_SET_CHILD_SUBREAPER, 0)
        if not pid:
            raise ConnectionError("the process that forks them has ended")
        return ForkedProcess(pid)

    def close(self) -> None:
        """End the server. The processes that it has started go on."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


def set_process_option(option: int, value: int) -> None:
    """Set an option of this process by Linux's prctl. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def serve(number: int, run: Callable[[], int]) -> NoReturn:
    """Import ganrun; then fork a process per request, which calls `run`, until the socket of this number is closed.

    Ends at once if a fork would not be as good as a new process.
    """
    owner = os.getppid()
    import_all()
    with socket.socket(fileno=number) as connection:
        while can_fork() and (request := receive_request(connection)):
            (content, files), (receiver, sender) = request, os.pipe()
            between = os.fork()
            if not between:
                try:
                    if fork_again(sender, (connection.fileno(), receiver), owner):
                        run_and_exit(content, files, run)
                finally:
                    os._exit(1)
            for file in (*files, sender):
                os.close(file)
            with open(receiver, "rb") as pipe:
                pid = pipe.read()
            os.waitpid(between, 0)
            connection.sendall(pid or bytes(PID_BYTES))
    sys.exit()


def import_all() -> None:
    """Import the package with all that it needs, and keep the garbage collector off it, as hydra_app does."""
    gc.disable()
    for module in pkgutil.walk_packages(ganrun.__path__, "ganrun."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()
    gc.enable()
    if not (pid := os.fork()):  # OpenBLAS has started threads for NumPy; it ends them at a fork until they are needed
        os._exit(0)
    os.waitpid(pid, 0)


def can_fork() -> bool:
    """Return whether this process has no threads and no CUDA context, which a fork would share or lose."""
    import torch

    return len(os.listdir("/proc/self/task")) == 1 and not torch.cuda.is_initialized()


def receive_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return what `ForkServer.start` has sent, and the numbers of its files; None if the socket is closed."""
    data, files, _, _ = socket.recv_fds(connection, MAX_REQUEST, MAX_FILES)
    while not data.endswith(b"\n"):
        more = connection.recv(MAX_REQUEST)
        if not more:
            return None
        data += more
    return json.loads(data), files


def fork_again(sender: int, servers: Sequence[int], owner: int) -> bool:
    """In the process between server and job: fork the job, and write its number to `sender`.

    Returns whether this is the job, a child of the owner now.  servers: files of the server, which a job must not hold.
    """
    between, pid = os.getpid(), os.fork()
    if pid:
        os.write(sender, pid.to_bytes(PID_BYTES, "big"))
        return False
    for file in (*servers, sender):
        os.close(file)
    while os.getppid() == between:  # until it has ended
        time.sleep(0.001)
    set_process_option(PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == owner  # else the owner is gone already


def become(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Make this fork of the server what a new process would be. files: its output, and what else it holds."""
    os.setsid()
    for number in (1, 2):
        os.dup2(files[0], number)
    os.close(files[0])
    if request["cwd"]:
        os.chdir(request["cwd"])
    os.environ.update(request["env"])
    sys.argv = [PROGRAM[1], *request["args"]]
    seed_generators()


def seed_generators() -> None:
    """Seed the global generators at random, as they are in a new process. Python's own is seeded so at a fork."""
    import numpy
    import torch

    numpy.random.seed()
    torch.default_generator.seed()


def run_and_exit(request: Mapping[str, Any], files: Sequence[int], run: Callable[[], int]) -> NoReturn:
    """Run the process that was asked for, and end it."""
    code: Any = 1
    try:
        become(request, files)
        code = run()
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        print_traceback(error)
    end_process(code)

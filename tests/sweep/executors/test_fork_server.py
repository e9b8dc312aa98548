"""The server that forks the jobs of a sweep, and what it leaves of the process that a job would be otherwise."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import forked
from helpers.waiting import wait_until

from ganrun.sweep.executors import base
from ganrun.sweep.executors.base import ExecutorJob
from ganrun.sweep.executors.fork_server import HAS_FORK, ForkServer
from ganrun.sweep.executors.gpus import GpuPool
from ganrun.sweep.executors.local import LocalExecutor

pytestmark = pytest.mark.skipif(not HAS_FORK, reason="Linux only")
HELPERS = Path(__file__).parents[2]
STATE = f"import sys; sys.path.append({str(HELPERS)!r}); from helpers.process_state import print_state; print_state()"
WAIT = "import time; print('ready', flush=True); time.sleep(100)"


@pytest.fixture
def server():
    server = ForkServer({}, forked.COMMAND)
    yield server
    server.close()


def start(server, program, path):
    with path.open("ab") as file:
        return server.start([program], file, {})


def wait_for_text(path, text="ready\n"):
    wait_until(lambda: path.exists() and path.read_text() == text)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_forked_process_is_as_a_new_one_that_has_imported_the_same(tmp_path, monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setenv("RANK", "3")
    new_python = (
        "import sys; from ganrun.sweep.executors.fork_server import import_all; import_all(); exec(sys.argv[1])"
    )
    monkeypatch.setattr(base, "PROGRAM", (sys.executable, "-c", new_python))
    assert ExecutorJob([STATE], tmp_path / "new" / "log").start({"A": "1"}).wait() == 0
    server = ForkServer({"A": "0"}, forked.WARM_COMMAND)
    (tmp_path / "forked").mkdir()
    for _ in range(2):
        with (tmp_path / "forked" / "log").open("ab") as file:
            assert server.start([STATE], file, {"A": "1"}).wait() == 0
    tasks = os.listdir(f"/proc/{server.process.pid}/task")
    server.close()
    lines = [line for name in ("new", "forked") for line in (tmp_path / name / "log").read_text().splitlines()]
    states = [json.loads(line) for line in lines if line.startswith("[{")]  # the rest: what libraries print at the end
    (new, _), (first, numbers), (second, others) = states
    assert new["threads"] == [1, 1, int(threads)]
    new["argv"] = first["argv"]
    assert first == new
    assert second == new
    assert not {*numbers} & {*others}
    assert tasks == [str(server.process.pid)]


def test_a_job_that_is_killed_does_not_harm_the_server(server, tmp_path):
    job = start(server, WAIT, tmp_path / "log")
    wait_for_text(tmp_path / "log")
    job.kill()
    assert job.wait() == -signal.SIGKILL
    assert start(server, "import sys; sys.exit(3)", tmp_path / "log").wait() == 3


def test_a_job_goes_on_if_the_server_is_killed(server, tmp_path):
    job = start(
        server,
        "import sys, time; print('ready', flush=True); time.sleep(.5); sys.exit(4)",
        tmp_path / "log",
    )
    wait_for_text(tmp_path / "log")
    server.process.kill()
    server.process.wait()
    assert job.wait() == 4
    with pytest.raises(OSError, match=r"has ended|Broken pipe"):
        start(server, WAIT, tmp_path / "log")


def test_jobs_are_new_processes_once_the_server_is_gone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(base, "PROGRAM", (sys.executable, "-c", "import sys; exec(sys.argv[1])"))
    server = ForkServer({}, [sys.executable, "-c", "import nix"])
    executor = LocalExecutor(1, {}, GpuPool([], 1), server=server)
    for number in range(2):
        executor.submit(number, ["print('here')"], tmp_path / "logs" / "log")
        wait_until(lambda number=number: number in executor.poll())
    executor.stop()
    server.close()
    assert (tmp_path / "logs" / "log").read_text() == "here\nhere\n"
    assert caplog.text.count("Jobs cannot be forked") == 1


def test_a_process_with_threads_is_not_forked():
    program = "import threading, time; threading.Thread(target=time.sleep, args=[100], daemon=True).start()"
    prepare = f"{program}; fork_server.import_all = lambda: None"
    command = (sys.executable, "-c", forked.PROGRAM.format(prepare=prepare))
    server = ForkServer({}, command)
    assert server.process.wait() == 0
    server.close()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_sweep_and_its_jobs_are_asked_to(tmp_path, signum):
    job = f"import signal, time; signal.signal(15, lambda *_: print('saved', flush=True)); {WAIT}; time.sleep(100)"
    program = f"""
import sys, time
from ganrun.sweep.executors.fork_server import ForkServer
server = ForkServer({{}}, {forked.COMMAND!r})
process = server.start([{job!r}], open({str(tmp_path / "log")!r}, "ab"), {{}})
print(server.process.pid, process.pid, flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as sweep:
        server, forked_job = map(int, sweep.stdout.readline().split())
        wait_for_text(tmp_path / "log")
        sweep.send_signal(signum)
        sweep.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{server}"))
    wait_for_text(tmp_path / "log", "ready\nsaved\n")
    os.kill(forked_job, signal.SIGKILL)


def test_a_sweep_is_interrupted_while_the_server_imports(tmp_path):
    command = (sys.executable, "-c", "import time; time.sleep(100)")
    server = ForkServer({}, command)
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        start(server, WAIT, tmp_path / "log")
    signal.signal(signal.SIGALRM, before)
    server.close()
    assert server.process.returncode == -signal.SIGKILL


def test_a_job_leaves_nothing_of_the_server_open(server, tmp_path):
    show = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    assert start(server, show, tmp_path / "log").wait() == 0
    assert (tmp_path / "log").read_text() == "[0, 1, 2]\n"


def test_long_arguments_and_names_that_are_not_utf_8_arrive(server, tmp_path):
    with (tmp_path / "log").open("ab") as file:
        args = ["x" * 300_000, "\udcff é 😀", "import sys; print(len(sys.argv[1]), ascii(sys.argv[2]))"]
        assert server.start(args, file, {}).wait() == 0
    assert (tmp_path / "log").read_text() == "300000 '\\udcff \\xe9 \\U0001f600'\n"


def test_threads_and_exit_functions_of_a_job_come_to_their_end(server, tmp_path):
    program = "import atexit, threading, time; atexit.register(print, 'exit'); "
    program += "threading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()"
    assert start(server, program, tmp_path / "log").wait() == 0
    assert (tmp_path / "log").read_text() == "thread\nexit\n"


def test_many_jobs_leave_no_process_behind(server, tmp_path):
    jobs = [start(server, "", tmp_path / "log") for _ in range(20)]
    assert [job.wait() for job in jobs] == [0] * 20
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    assert not children

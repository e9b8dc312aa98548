"""Jobs as local processes, and their GPUs, which are only names here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import forked
from helpers.waiting import wait_until

from ganrun.sweep.executors import base, local
from ganrun.sweep.executors.fork_server import ForkServer
from ganrun.sweep.executors.gpus import GpuPool
from ganrun.sweep.executors.local import LocalExecutor

WAIT = "import time; time.sleep(100)"


@pytest.fixture(params=["fork", "spawn"])
def start(tmp_path, monkeypatch, request):
    """Starts a Python program as a job of an executor, instead of ganrun."""
    executors = []
    monkeypatch.setattr(base, "PROGRAM", (sys.executable, "-c", "import sys; exec(sys.argv[1])"))

    def start(executor, number, program):
        executors.append(executor)
        if request.param == "fork" and not executor.server:
            executor.server = ForkServer(executor.env, forked.COMMAND)
        return executor.submit(number, [program], tmp_path / "logs" / f"{number}.log")

    yield start
    for executor in executors:
        for job in executor.jobs.values():
            job.process.kill()
        executor.stop()


def wait_for_end(executor):
    found = {}
    wait_until(lambda: found.update(executor.poll()) or not executor.jobs)
    return found


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("print('all is well')", 0, "all is well"),
        ("raise ValueError('lost')", 1, "ValueError: lost"),
        ("import sys; print('ganrun: no such key\\nmore'); sys.exit(2)", 2, "no such key"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_a_finished_job_has_its_exit_code_and_last_message(start, program, code, message):
    executor = LocalExecutor(1, {}, GpuPool([], 1))
    assert start(executor, 3, program)
    assert not executor.has_room()
    found = wait_for_end(executor)
    assert (found[3].exit_code, found[3].message) == (code, message)
    assert executor.has_room()


def test_the_end_of_a_job_is_noticed_at_once(start):
    executor = LocalExecutor(2, {}, GpuPool([], 1))
    start(executor, 0, "print('short')")
    start(executor, 1, WAIT)
    before = time.monotonic()
    executor.wait(60)
    assert time.monotonic() - before < 30
    assert [*executor.poll()] == [0]
    executor.wait(0.1)
    assert not executor.poll()


def test_stopped_jobs_have_time_to_save(start, tmp_path):
    executor = LocalExecutor(2, {}, GpuPool([], 1))
    path = tmp_path / "saved"
    program = (
        f"import signal, sys, time; signal.signal(15, lambda *_: (open({str(path)!r}, 'w').close(), sys.exit(143)))"
    )
    start(executor, 0, f"{program}; print('ready', flush=True); time.sleep(100)")
    wait_until(lambda: executor.jobs[0].last_message() == "ready")
    assert executor.stop()[0].exit_code == 143
    assert path.exists()


def test_a_job_that_ignores_sigterm_is_killed(start, monkeypatch):
    monkeypatch.setattr(local, "GRACE_SECONDS", 0.2)
    executor = LocalExecutor(1, {}, GpuPool([], 1))
    start(executor, 0, f"import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); {WAIT}")
    wait_until(lambda: executor.jobs[0].last_message() == "ready")
    assert executor.stop()[0].exit_code == -9


def test_side_by_side_jobs_share_the_processors(start, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    for size, threads in ((1, "None"), (cores, "1"), (cores + 1, "1")):
        executor = LocalExecutor(size, {}, GpuPool([], 1))
        start(executor, 0, "import os; print(os.environ.get('OMP_NUM_THREADS'))")
        assert wait_for_end(executor)[0].message == ("None" if size == 1 else threads)


# ---- GPUs ----------------------------------------------------------------------------------------------------
@pytest.fixture
def gpu_pool(tmp_path):
    return lambda per_device=1: GpuPool(["0", "GPU-5"], per_device, tmp_path / "gpus")


SEEN = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); "


def test_each_job_has_a_gpu_of_its_own_while_it_runs(start, gpu_pool):
    executor = LocalExecutor(3, {}, gpu_pool())
    assert [start(executor, number, SEEN + WAIT) for number in range(3)] == [True, True, False]
    wait_until(lambda: {executor.jobs[n].last_message() for n in (0, 1)} == {"0", "GPU-5"})
    executor.jobs[0].process.kill()
    wait_until(lambda: 0 in executor.poll())
    assert start(executor, 3, SEEN + WAIT)
    wait_until(lambda: executor.jobs[3].last_message() == "0")


def test_a_gpu_is_shared_by_jobs_per_gpu_jobs(start, gpu_pool):
    executor = LocalExecutor(9, {}, gpu_pool(per_device=2))
    assert [start(executor, number, SEEN + WAIT) for number in range(5)] == [True] * 4 + [False]
    wait_until(lambda: sorted(executor.jobs[n].last_message() for n in range(4)) == ["0", "0", "GPU-5", "GPU-5"])


def test_a_job_of_several_ranks_has_a_gpu_for_each(start, tmp_path):
    gpus = GpuPool(["0", "1", "2"], 1, tmp_path / "gpus")
    executor = LocalExecutor(3, {}, gpus, 2)
    assert [start(executor, number, SEEN + WAIT) for number in range(2)] == [True, False]
    wait_until(lambda: executor.jobs[0].last_message() == "0,1")
    left = gpus.lease()
    assert left.devices == ["2"]  # the one that was too few for the second job is not kept from others
    left.close()
    assert gpus.lease(2) is None


def test_another_sweep_on_the_machine_gets_the_remaining_gpus(start, gpu_pool):
    first, second = LocalExecutor(1, {}, gpu_pool()), LocalExecutor(2, {}, gpu_pool())
    assert start(first, 0, WAIT)
    assert start(second, 0, WAIT)
    assert not start(second, 1, WAIT)


@pytest.mark.parametrize("is_forking", [False, True])
def test_a_job_of_a_killed_sweep_keeps_its_gpu_until_it_has_saved(gpu_pool, tmp_path, is_forking):
    """kill -9 of the sweep: Linux asks the job to end; until then nobody else gets its GPU."""
    program = f"""
import sys, time
from pathlib import Path
from ganrun.sweep.executors import base, fork_server, gpus, local
base.PROGRAM = (sys.executable, "-c", "import sys; exec(sys.argv[1])")
server = fork_server.ForkServer({{}}, {forked.COMMAND!r}) if {is_forking} else None
executor = local.LocalExecutor(1, {{}}, gpus.GpuPool(["0"], 1, Path({str(tmp_path / "gpus")!r})), 1, server)
job = "import signal, sys, time; signal.signal(15, lambda *_: (time.sleep(1), sys.exit())); time.sleep(100)"
assert executor.submit(0, [job], Path({str(tmp_path / "log")!r}))
print(executor.jobs[0].process.pid, flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as sweep:
        pid = int(sweep.stdout.readline())
        time.sleep(0.3)
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        free = GpuPool(["0"], 1, tmp_path / "gpus")
        assert not has_free(free)
        wait_until(lambda: is_over(pid))
        wait_until(lambda: has_free(free))


def is_over(pid):
    path = Path(f"/proc/{pid}/stat")
    return not path.exists() or path.read_text().split()[2] == "Z"


def has_free(gpu_pool):
    lease = gpu_pool.lease()
    if lease:
        lease.close()
    return lease is not None

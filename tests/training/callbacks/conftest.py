"""A process without Slurm whose signals a test may catch."""

import signal

import pytest
from helpers.signalled import EXPECTED, World


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """No signal is ignored, as SIGINT is in the background or SIGHUP under nohup; all handlers are back afterwards."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    before = {signum: signal.getsignal(signum) for signum in (*EXPECTED, signal.SIGUSR1)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def world():
    return World()

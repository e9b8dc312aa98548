"""A process without Slurm whose signals a test may catch."""

import signal

import pytest
from helpers.signalled import EXPECTED, World


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """SIGINT is not ignored, as it is in a shell's background; and all handlers are back afterwards."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    before = {signum: signal.getsignal(signum) for signum in (*EXPECTED, signal.SIGUSR1)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def world():
    return World()

"""Fixtures of all tests."""

import gc
import logging
import os
import signal
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share the tests: two threads each would wait for CPUs


def pytest_configure(config):
    """Hide what differs between users and machines.

    GPUs are hidden from tests that are not about them: these expect the numbers and the messages of a CPU.
    """
    os.environ.pop("GANRUN_OUTPUTS", None)  # of the user; tests have their own
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session", autouse=True)
def heeding_signals():
    """Background processes of a shell ignore SIGINT, and those of nohup SIGHUP; the trainings of tests must not."""
    default = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {signum: signal.signal(signum, handler) for signum, handler in default.items()}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope="session", autouse=True)
def brief_rehearsals():
    """dry_run=true trains for five seconds to measure a speed, which hundreds of tests do not look at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganrun.training.rehearsal.SECONDS", 0.05)
        yield


@pytest.fixture(scope="session")
def warm():
    """A process that has imported ganrun and forks a child for each command: see its `run`."""
    from helpers.warm import WarmProcess  # imports ganrun, which few tests need at once

    with WarmProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def log_handlers():
    """Remove the root handler that Hydra adds: it writes to a stdout that the next test does not have."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in before]


@pytest.fixture(autouse=True)
def forget_user_modules(tmp_path_factory):
    """Unload the modules that a test wrote and imported: the next test writes others under the same names."""
    before = set(sys.modules)
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - before:
        if str(getattr(sys.modules[name], "__dict__", {}).get("__file__")).startswith(folder):
            del sys.modules[name]


def pytest_collection_finish():
    """Keep the garbage collector off what is there before the first test: torch alone is a million objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_make_parametrize_id(val):
    """Name a test of half a character by its escape: the processes that share the tests exchange names as UTF-8."""
    return ascii(val) if isinstance(val, str) and any("\ud800" <= c <= "\udfff" for c in val) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Escape half characters in what a test has printed and logged, for the same reason."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report

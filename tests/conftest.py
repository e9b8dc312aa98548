"""What every test gets."""

import logging
import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def heeding_ctrl_c():
    """What a shell starts in the background ignores SIGINT, and so would the trainings that a test interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def log_handlers():
    """Hydra gives the root logger a handler on today's stdout; the next test has another stdout."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in before]

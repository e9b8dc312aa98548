"""Fixtures of all tests."""

import logging
import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def heeding_ctrl_c():
    """Background processes of a shell ignore SIGINT; the trainings that tests interrupt must not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def log_handlers():
    """Remove the root handler that Hydra adds: it writes to a stdout that the next test does not have."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in before]

"""What every test gets."""

import logging

import pytest


@pytest.fixture(autouse=True)
def log_handlers():
    """Hydra gives the root logger a handler on today's stdout; the next test has another stdout."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in before]

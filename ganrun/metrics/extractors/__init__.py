"""Networks that turn images into features."""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Look up a name that the module of this name held in version 0.1."""
    return getattr(import_module("ganrun.metrics.extractors.base"), name)

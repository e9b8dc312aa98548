"""The modules of scripts/bench.py, for their tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from hydra.core.hydra_config import HydraConfig


@contextmanager
def load_script(name: str, monkeypatch) -> Iterator[ModuleType]:
    """Import scripts/`name`.py, on one thread; restore afterwards what it changes for the process."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    threads, config = torch.get_num_threads(), HydraConfig.instance().cfg
    torch.set_num_threads(1)
    try:
        yield import_module(name)
    finally:
        torch.set_num_threads(threads)
        HydraConfig.instance().cfg = config

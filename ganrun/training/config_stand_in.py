"""Checkpoints of version 0.1 that hold lists of OmegaConf, which torch's safe loader refuses."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

# The classes in a pickled list of OmegaConf; those of Python are the types of its items
STANDS_FOR = re.compile(
    r"omegaconf\.[\w.]+|typing\.Any|collections\.defaultdict|builtins\.(list|dict|int|float|str|bool)"
)
MAX_CLASSES = 40


class ConfigStandIn:
    """Takes the place of every class of OmegaConf while a file is read: it keeps the state, and runs nothing."""

    def __init__(self, *_: Any):
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}

    def value(self) -> Any:
        """Return the list, dict or value of the node; its items may be stand-ins again."""
        state = getattr(self, "state", {})
        return state.get("_content", state.get("_val"))


def open_stand_in(value: Any) -> Any:
    """Return the list, dict or value of a stand-in; another value as it is."""
    return value.value() if isinstance(value, ConfigStandIn) else value


def load_archive(path: Path, mmap: bool = False) -> Any:
    """Return what torch.save wrote, on the CPU, ConfigStandIn for classes of OmegaConf. Never runs code from the file.

    mmap: leave the tensors in the file until they are used.  Raises UnpicklingError for other classes.
    """
    names: set[str] = set()
    while True:
        try:
            with torch.serialization.safe_globals([(ConfigStandIn, name) for name in names]):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        except pickle.UnpicklingError as error:
            name = refused_class(error)
            if name in names or len(names) == MAX_CLASSES or not STANDS_FOR.fullmatch(name):
                raise
            names.add(name)


def refused_class(error: Exception) -> str:
    """Return the dotted name of the class that the loader refuses; "" if its message has none."""
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    name = match[1] if match else ""
    return name if "." in name or not name else f"builtins.{name}"  # torch leaves this module out

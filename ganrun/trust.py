"""Whether the classes that somebody's checkpoint asks for may be built."""

import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from omegaconf import DictConfig, ListConfig

from ganrun import folders
from ganrun.errors import UserError

TARGET = re.compile(r"^\s*_target_:\s*(['\"]?)([\w.]+)\1", re.MULTILINE)


@cache
def known() -> frozenset[str]:
    """The classes that ganrun's own configs name, and torch's optimizers and layers."""
    paths = folders.conf_dir().rglob("*.yaml")
    ours = {match[2] for path in paths for match in TARGET.finditer(path.read_text())}
    optimizers = {f"torch.optim.{name}" for name in subclasses(torch.optim, torch.optim.Optimizer)}
    return frozenset({*ours, *optimizers, *(f"torch.nn.{name}" for name in subclasses(torch.nn, torch.nn.Module))})


def subclasses(module: ModuleType, base: type) -> list[str]:
    return [name for name, thing in vars(module).items() if isinstance(thing, type) and issubclass(thing, base)]


def check(cfg: DictConfig, source: Path) -> None:
    """Refuses a config that came with the file `source` and names any other class: building it could run anything."""
    for key, target in targets(cfg):
        if target not in known():
            raise UserError(
                f"{source} asks for {key}={target}, which is none of ganrun's own classes, and building it runs its "
                f"code. If it is yours, or you trust it: ganrun {shlex.join(sys.argv[1:])} trust=true"
            )


def targets(node: DictConfig | ListConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every `_target_` in a config, with its key."""
    items = node.items() if isinstance(node, DictConfig) else enumerate(node)
    for name, value in items:
        if isinstance(value, (DictConfig, ListConfig)):
            yield from targets(value, f"{prefix}{name}.")
        elif name == "_target_" and value is not None:
            yield f"{prefix}{name}", str(value)

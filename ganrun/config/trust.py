"""Whether the classes that somebody's checkpoint asks for may be built."""

import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun import paths as folders
from ganrun.errors import UserError

# Any interpolation but another key's value, the environment's, the clock's and Hydra's own
COMPUTED = re.compile(r"\$\{(?!\s*([\w.\[\]]+\s*\}|(hydra|now|oc\.env):))")
TARGET = re.compile(r"^\s*_target_:\s*(['\"]?)([\w.]+)\1", re.MULTILINE)


@cache
def trusted_classes() -> frozenset[str]:
    """The classes that ganrun's own configs name, and torch's optimizers and layers."""
    paths = folders.conf_dir().rglob("*.yaml")
    ours = {match[2] for path in paths for match in TARGET.finditer(path.read_text())}
    optimizers = {f"torch.optim.{name}" for name in subclasses_in(torch.optim, torch.optim.Optimizer)}
    return frozenset({*ours, *optimizers, *(f"torch.nn.{name}" for name in subclasses_in(torch.nn, torch.nn.Module))})


def subclasses_in(module: ModuleType, base: type) -> list[str]:
    return [name for name, thing in vars(module).items() if isinstance(thing, type) and issubclass(thing, base)]


def check_trusted(cfg: DictConfig, source: Path) -> None:
    """Refuses a config that came with the file `source` and could run anything when it is built.

    That is one that names any other class, or that computes a value: what a text would be made into is not seen here.
    """
    for key, value in iterate_values(OmegaConf.to_container(cfg)):
        is_target = key.rpartition(".")[2] == "_target_"
        if is_target and value is not None and value not in trusted_classes():
            refuse_untrusted(source, f"{key}={value}", "is none of ganrun's own classes, and building it runs its code")
        if isinstance(value, str) and COMPUTED.search(value):
            refuse_untrusted(source, f"{key}={value}", "is computed when it is read")


def needs_trust(cfg: DictConfig) -> bool:
    """Whether building the model and data of this config takes trust=true."""
    try:
        check_trusted(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "callbacks"]), Path())
    except UserError:
        return True
    return False


def refuse_untrusted(source: Path, setting: str, reason: str) -> NoReturn:
    raise UserError(
        f"{source} asks for {setting}, which {reason}. If it is yours, or you trust it: "
        f"ganrun {shlex.join(sys.argv[1:])} trust=true"
    )


def iterate_values(node: dict | list, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value in a config, with its key."""
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            yield from iterate_values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

"""Whether the config in a checkpoint or run folder, which may be somebody else's, may be built."""

import re
import shlex
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun import paths
from ganrun.config.renames import iterate_values
from ganrun.errors import UserError

# Any interpolation except of another key, the environment, the clock and Hydra's own values
COMPUTED = re.compile(r"\$\{(?!\s*([\w.\[\]]+\s*\}|(hydra|now|oc\.env):))")
TARGET = re.compile(r"^\s*_target_:\s*(['\"]?)([\w.]+)\1", re.MULTILINE)


@cache
def trusted_classes() -> frozenset[str]:
    """Return the classes named in ganrun's own configs, and torch's optimizers and layers."""
    texts = [path.read_text() for path in paths.conf_dir().rglob("*.yaml")]
    ours = {match[2] for text in texts for match in TARGET.finditer(text)}
    optimizers = {f"torch.optim.{name}" for name in subclasses_in(torch.optim, torch.optim.Optimizer)}
    layers = {f"torch.nn.{name}" for name in subclasses_in(torch.nn, torch.nn.Module)}
    return frozenset({*ours, *optimizers, *layers})


def subclasses_in(module: ModuleType, base: type) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]


def check_trusted(cfg: DictConfig, source: Path) -> None:
    """Raise UserError if building the config of the file `source` could run arbitrary code.

    It could if it names a class that is not trusted, or computes a value, which may be anything.
    """
    for key, value in iterate_values(OmegaConf.to_container(cfg)):
        is_target = key.rpartition(".")[2] == "_target_"
        if is_target and value is not None and value not in trusted_classes():
            refuse_untrusted(source, f"{key}={value}", "is not one of ganrun's own classes; building it runs its code")
        if isinstance(value, str) and COMPUTED.search(value):
            refuse_untrusted(source, f"{key}={value}", "computes its value with a resolver")


def needs_trust(cfg: DictConfig) -> bool:
    """Return whether building this config, callbacks aside, requires trust=true."""
    try:
        check_trusted(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "callbacks"]), Path())
    except UserError:
        return True
    return False


def refuse_untrusted(source: Path, setting: str, reason: str) -> NoReturn:
    raise UserError(
        f"{source} contains {setting}, which {reason}. If the file is yours or you trust it: "
        f"ganrun {shlex.join(sys.argv[1:])} trust=true"
    )

"""Whether the config in a checkpoint or run folder, which may be somebody else's, may be built."""

import re
import shlex
import sys
from functools import cache
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun import files
from ganrun.config.renames import iterate_values
from ganrun.errors import UserError

# Any interpolation except of another key, the environment, the clock, Hydra's own values and the shape of images
COMPUTED = re.compile(r"\$\{(?!\s*([\w.\[\]]+\s*\}|(hydra|now|oc\.env|image_shape):))")
TARGET = re.compile(r"^\s*_target_:\s*(['\"]?)([\w.]+)\1", re.MULTILINE)


@cache
def trusted_classes() -> frozenset[str]:
    """Return the classes named in ganrun's own configs, and torch's optimizers and layers."""
    configs = files.conf_dir().rglob("*.yaml")
    names = {match[2] for path in configs for match in TARGET.finditer(path.read_text())}
    for module, base in ((torch.optim, torch.optim.Optimizer), (torch.nn, torch.nn.Module)):
        classes = {name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)}
        names |= {f"{module.__name__}.{name}" for name in classes}
    return frozenset(names)


def check_trusted(cfg: DictConfig, source: Path) -> None:
    """Raise UserError if building the config of the file `source` could run arbitrary code.

    It could if it names a class that is not trusted, or computes a value, which may be anything.
    """
    for key, value in iterate_values(OmegaConf.to_container(cfg)):
        is_target = key.rpartition(".")[2] == "_target_"
        if is_target and value is not None and value not in trusted_classes():
            reason = "is not one of ganrun's own classes; building it runs its code"
        elif isinstance(value, str) and COMPUTED.search(value):
            reason = "computes its value with a resolver"
        else:
            continue
        raise UserError(
            f"{source} contains {key}={value}, which {reason}. If the file is yours or you trust it: "
            f"ganrun {shlex.join(sys.argv[1:])} trust=true"
        )


def check_logger_paths(cfg: DictConfig, run_dir: Path, source: Path) -> None:
    """Raise UserError if the logger of the config of the file `source` would write outside the run folder."""
    resolved = OmegaConf.merge(cfg, {"folder": str(run_dir)})
    for key, value in iterate_values(OmegaConf.to_container(resolved.logger, resolve=True), "logger"):
        path = Path(value) if isinstance(value, str) else Path()
        leads_out = key == "logger.save_dir" or path.is_absolute() or ".." in path.parts
        if leads_out and value != str(run_dir):
            raise UserError(
                f"{source} contains {key}={value}, so the logger would write outside {run_dir}. If the file is yours "
                f"or you trust it: ganrun {shlex.join(sys.argv[1:])} trust=true"
            )


def needs_trust(cfg: DictConfig) -> bool:
    """Return whether building this config, callbacks aside, requires trust=true."""
    try:
        check_trusted(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "callbacks"]), Path())
    except UserError:
        return True
    return False

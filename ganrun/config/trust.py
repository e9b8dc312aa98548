"""Whether the config in a checkpoint or run folder, which may be somebody else's, may be built."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganrun import files
from ganrun.config import interpolations, renames, user_modules
from ganrun.config.interpolations import quote_text
from ganrun.config.renames import iterate_values
from ganrun.errors import UntrustedError, UserError

UNUSABLE = (
    *(TypeError, ValueError, AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError, MemoryError),
    OmegaConfBaseException,
)
TARGET = re.compile(r"^\s*_target_:\s*(['\"]?)([\w.]+)\1", re.MULTILINE)


@cache
def trusted_classes() -> frozenset[str]:
    """Return the classes named in ganrun's own configs, and torch's optimizers and layers."""
    import torch

    paths = files.conf_dir().rglob("*.yaml")
    names = {match[2] for path in paths for match in TARGET.finditer(path.read_text())}
    for module, base in ((torch.optim, torch.optim.Optimizer), (torch.nn, torch.nn.Module)):
        classes = {name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)}
        names |= {f"{module.__name__}.{name}" for name in classes}
    return frozenset(names)


def open_saved_config(content: Any, source: Path, trust: bool = False, without: str = "") -> DictConfig:
    """Return the config that a file holds as nested dicts, with today's names, for building what it describes.

    without: a key that is left out.
    trust: the user trusts the file: its own classes may be imported from the working folder, and resolvers called.
    Raises UserError if it is damaged, or, without trust, if building or resolving it could run code or read anything.
    """
    content = {key: value for key, value in content.items() if key != without} if isinstance(content, dict) else None
    if not trust:
        for key, value in interpolations.resolver_calls(content):
            refuse(source, key, value, "computes its value with a resolver")
    try:
        if content is None:
            raise ValueError("it is not a dict")
        interpolations.check_size(content)
        cfg = renames.update_config(DictConfig(content))
    except (OmegaConfBaseException, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"The config in {source} is damaged ({str(error).splitlines()[0]}).") from error
    if trust:
        user_modules.allow_modules(user_modules.modules_in_config(cfg))
    else:
        check_trusted(cfg, source)
    return cfg


@contextmanager
def explain_unusable_settings(source: Path) -> Iterator[None]:
    """Turn the errors that a saved config of wrong types, or with parts missing, may cause into a UserError.

    source: the file or folder that holds the config, for the message.
    """
    try:
        yield
    except UserError:
        raise
    except UNUSABLE as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source} holds settings that cannot be used ({type(error).__name__}: {reason}).") from error


def check_trusted(cfg: DictConfig, source: Path, command: str | None = None) -> None:
    """Raise UserError, which names the command, if the config of the file `source` has a class that is not trusted."""
    for key, value in foreign_targets(cfg):
        refuse(source, key, value, "is not one of ganrun's own classes; building it runs its code", command)


def foreign_targets(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the classes in a config that are not trusted, with their keys."""
    for key, value in iterate_values(OmegaConf.to_container(cfg)):
        is_target = re.search(r"(^|\.)_target_(\.|$)", key)
        if is_target and value is not None and not (isinstance(value, str) and value in trusted_classes()):
            yield key, value


def refuse(source: Path, key: str, value: Any, reason: str, command: str | None = None) -> NoReturn:
    """Raise UntrustedError about a value in a saved file."""
    advice = f"{source} contains {key}={value}, which {reason}. If the file is yours or you trust it"
    raise UntrustedError(advice, command)


def check_logger_paths(cfg: DictConfig, run_dir: Path, source: Path, command: str | None = None) -> None:
    """Raise UserError if the logger of the config of the file `source` would write outside the run folder."""
    resolved = cast("DictConfig", OmegaConf.merge(cfg, {"folder": quote_text(str(run_dir))}))
    nodes = {name: resolved[name] for name in ("logger", "more_loggers") if resolved.get(name)}
    for key, value in iterate_values(
        {name: OmegaConf.to_container(node, resolve=True) for name, node in nodes.items()}
    ):
        path = Path(value) if isinstance(value, str) else Path()
        leads_out = key.endswith(".save_dir") or path.is_absolute() or ".." in path.parts
        if leads_out and value != str(run_dir):
            reason = f"leads out of the run folder: the logger would write outside {run_dir}"
            refuse(source, key, value, reason, command)


def needs_trust(cfg: DictConfig) -> bool:
    """Return whether loading a model of this config requires trust=true. Callbacks are not part of a model."""
    return any(not key.startswith("callbacks.") for key, _ in foreign_targets(cfg))

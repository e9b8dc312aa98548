"""Keeps configs, checkpoints and user code of version 0.1 working, by the names in rename_table.py."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf, open_dict

from ganrun.config.rename_table import CALLBACK_STATES, MODULES, OVERRIDES, SETTINGS, SYMBOLS
from ganrun.files import conf_dir

LATER = {"accumulate": 1, "on_collapse": "continue", "on_diverge": "continue"}  # settings that 0.1 did not have
PACKAGES = {name.rpartition(".")[0] for name in MODULES} - {""}  # folders that held the old modules
INTERPOLATION = re.compile(r"(?<=\$\{)[\w.]+(?=\})")


def current_name(path: str) -> str:
    """Return today's dotted path for an old one: "ganrun.losses.hinge" -> "ganrun.models.losses.hinge".

    Other paths are returned as they are.
    """
    package, _, name = path.partition(".")
    if package != "ganrun":
        return path
    module, _, symbol = name.rpartition(".")
    moved = f"{MODULES[module]}.{symbol}" if module in MODULES else MODULES.get(name, name)
    return f"ganrun.{SYMBOLS.get(name, moved)}"


def update_config(cfg: DictConfig) -> DictConfig:
    """Replace the old names in a config: of settings, of classes in `_target_`, and of keys in interpolations.

    Changes the config in place and returns it. Must run before the config is checked for trust, or built. A training
    of version 0.1 gets the default callbacks and what was not part of its config: LATER.
    """
    if "trainer" in cfg and "callbacks" not in cfg:
        OmegaConf.update(cfg, "callbacks", OmegaConf.load(conf_dir() / "callbacks" / "default.yaml"), force_add=True)
    for key, value in LATER.items():
        if "trainer" in cfg and key not in cfg:
            OmegaConf.update(cfg, key, value, force_add=True)
    moved = {old: new for old, new in SETTINGS.items() if _move_setting(cfg, old, new)}
    for override, choice in OVERRIDES.items():
        _move_choice(cfg, *override.split("="), *choice.split("="))
    for key, value in iterate_values(OmegaConf.to_container(cfg)):
        if isinstance(value, str):
            is_target = key.rpartition(".")[2] == "_target_"
            renamed = INTERPOLATION.sub(lambda match: moved.get(match[0], match[0]), value)
            renamed = current_name(renamed) if is_target else renamed
            if renamed != value:
                OmegaConf.update(cfg, key, renamed, force_add=True)
    return cfg


def _take_setting(cfg: DictConfig, key: str, allowed: Callable[[Any], bool] = lambda value: True) -> list[Any]:
    """Remove a setting and return its value, interpolations unresolved, as the only item of a list.

    [] if the config lacks it, if its value is not allowed, or if it belongs to a class that is not ganrun's: there, the
    name may mean something else.
    """
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    values = cast("dict[str, Any]", OmegaConf.to_container(node)) if isinstance(node, DictConfig) else {}
    owner = values.get("_target_") or "ganrun."
    if name not in values or not allowed(values[name]) or not str(owner).startswith("ganrun."):
        return []
    with open_dict(cfg):
        del node[name]
    return [values[name]]


def _move_setting(cfg: DictConfig, old: str, new: str) -> bool:
    """Move the value of a key to another key; return whether there was one to move."""
    values = _take_setting(cfg, old)
    for value in values:
        OmegaConf.update(cfg, new, value, force_add=True)
    return bool(values)


def _move_choice(cfg: DictConfig, old: str, value: str, group: str, choice: str) -> None:
    """Replace a model's setting of this value by the choice of a config group, which the model takes as an object."""
    if _take_setting(cfg, old, lambda found: found == value):
        node = OmegaConf.load(conf_dir() / group / f"{choice}.yaml")
        with open_dict(cfg):
            cfg[group], cfg.model[group] = node, f"${{{group}}}"


def current_override(override: str) -> str:
    """Return an override as it is written today: "model.k=3" -> "model.d_steps=3"."""
    key, sign, value = override.partition("=")
    plain = key.lstrip("+")
    return OVERRIDES.get(f"{plain}={value}") or f"{key.replace(plain, SETTINGS.get(plain, plain))}{sign}{value}"


@contextmanager
def accepted_old_overrides() -> Iterator[None]:
    """Compose with today's names what Hydra refuses with the old ones; a model may have a setting of an old name."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.errors import ConfigCompositionException

    load = ConfigLoaderImpl.load_configuration

    def load_renamed(loader: Any, config_name: str | None, overrides: list[str], *args: Any, **kwargs: Any) -> Any:
        try:
            return load(loader, config_name, overrides, *args, **kwargs)
        except ConfigCompositionException:
            renamed = [current_override(override) for override in overrides]
            if renamed == overrides:
                raise
            return load(loader, config_name, renamed, *args, **kwargs)

    ConfigLoaderImpl.load_configuration = load_renamed  # pyright: ignore[reportAttributeAccessIssue]  args: Any
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = load


def update_callback_states(states: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's callback states, and those inside the list of ganrun's callbacks, under today's names."""
    named = {CALLBACK_STATES.get(name, name): state for name, state in states.items()}
    if inner := named.get("CallbackList"):
        named["CallbackList"] = {CALLBACK_STATES.get(name, name): state for name, state in inner.items()}
    return named


def iterate_values(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in nested dicts and lists, with its dotted key."""
    if not isinstance(node, dict | list):
        yield key, node
        return
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield from iterate_values(value, f"{key}.{name}" if key else str(name))


def look_up(module: str, name: str) -> Any:
    """Return the object that was called `name` in a module, or in an old module that this one replaces.

    Raises AttributeError if it has not been renamed.
    """
    today = module.removeprefix("ganrun.")
    for known in (today, *(old for old, new in MODULES.items() if new == today)):
        parent, _, symbol = current_name(f"ganrun.{known}.{name}").rpartition(".")
        if (parent, symbol) != (module, name) and not name.startswith("__"):
            return getattr(import_module(parent), symbol)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


class RenamedModules(MetaPathFinder, Loader):
    """Imports an old module as an empty one that looks each name up where it is today.

    Python asks it only for modules that do not exist.
    """

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        name = fullname.removeprefix("ganrun.")
        if name == fullname or (name not in MODULES and name not in PACKAGES):
            return None
        return ModuleSpec(fullname, self, is_package=name in PACKAGES)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = partial(look_up, module.__name__)

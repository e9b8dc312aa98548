"""The config of a run that is resumed with other settings, and what has changed in it."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean


def apply_overrides(saved: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return a copy of the config with overrides such as "kimg=2000" and "logger=csv" applied.

    Raises UserError for a key that the config does not have.
    """
    cfg = saved.copy()
    OmegaConf.set_struct(cfg, True)
    for override in OverridesParser.create().parse_overrides([*overrides]):
        if override.is_sweep_override() or override.is_delete():
            raise UserError(f"{override.input_line} is not possible for an existing run. Give one value: key=value.")
        if docs.is_group(override.key_or_group, docs.conf_dirs(None)):
            _apply_choice(cfg, override)
        else:
            _apply_value(cfg, override)
    return cfg


def _apply_choice(cfg: DictConfig, override: Override) -> None:
    """Replace the settings of a group. Raises UserError if the config has no node of the group's name."""
    group = override.key_or_group
    if group not in cfg:
        raise UserError(f"{override.input_line} makes another experiment. Start it with ganrun train.")
    with open_dict(cfg):
        cfg[group] = compose("train", [override.input_line or ""])[group]


def _apply_value(cfg: DictConfig, override: Override) -> None:
    key = override.key_or_group
    try:
        with open_dict(cfg) if override.is_add() else open_dict(OmegaConf.create()):
            OmegaConf.update(cfg, key, override.value())
    except (OmegaConfBaseException, AttributeError) as error:
        raise UserError(f"This run has no setting {key}.{did_you_mean(key, flatten_config(cfg))}") from error


def changed_settings(saved: DictConfig, wanted: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Return {key: (value before, value after)}, keys derived from others last; None stands for an absent key."""
    before, after = flatten_config(saved), flatten_config(wanted)
    keys = [*before, *(key for key in after if key not in before)]
    keys = sorted((key for key in keys if before.get(key) != after.get(key)), key=lambda key: is_derived(wanted, key))
    return {key: (before.get(key), after.get(key)) for key in keys}


def is_derived(cfg: DictConfig, key: str) -> bool:
    """Return whether the value of a key, or an item of it, is an interpolation of another key."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if node is None or name not in node:
        return False
    value = node[name]
    items = range(len(value)) if isinstance(value, ListConfig) else ()
    return OmegaConf.is_interpolation(node, name) or any(OmegaConf.is_interpolation(value, i) for i in items)


def flatten_config(node: DictConfig, prefix: str = "") -> dict[str, Any]:
    """Return {"a.b": 1} for {"a": {"b": 1}}; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, DictConfig):
            flat |= flatten_config(value, f"{prefix}{key}.")
        else:
            is_list = isinstance(value, ListConfig)
            flat[f"{prefix}{key}"] = OmegaConf.to_container(value, resolve=True) if is_list else value
    return flat

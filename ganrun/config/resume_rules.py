"""What a run may change when it goes on, and what would make another experiment of it."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean

RESUMABLE = (  # keys, or groups of keys, that decide how long, where and how loudly a run goes on, not what it computes
    "kimg",
    "minutes",
    "log_every",
    "profile",
    "validate_kimg",
    "pictures_kimg",
    "checkpoint",
    "guard",
    "guard_skips",
    "logger",
    "callbacks",
    "folder",
    "dry_run",
    "resume",
    "data.device",
    "trainer.accelerator",
    "trainer.batches_per_step",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.benchmark",
    "trainer.compile",
)


def apply_overrides(saved: DictConfig, words: Sequence[str]) -> DictConfig:
    """The config with the changes `words` ("kimg=2000", "logger=csv") made. Raises UserError for a key it lacks."""
    cfg = saved.copy()
    OmegaConf.set_struct(cfg, True)
    for override in OverridesParser.create().parse_overrides([*words]):
        if override.is_sweep_override() or override.is_delete():
            raise UserError(f"{override.input_line} cannot be changed on the way: give key=value.")
        if docs.is_group(override.key_or_group, docs.conf_dirs(None)):
            _apply_choice(cfg, override)
        else:
            _apply_value(cfg, override)
    return cfg


def _apply_choice(cfg: DictConfig, override: Override) -> None:
    """Another choice of a group that stands under its own name in the config."""
    group = override.key_or_group
    if group not in cfg:
        raise UserError(f"{override.input_line} makes another experiment: start it by ganrun train.")
    with open_dict(cfg):
        cfg[group] = compose("train", [override.input_line])[group]


def _apply_value(cfg: DictConfig, override: Override) -> None:
    key = override.key_or_group
    try:
        with open_dict(cfg) if override.is_add() else open_dict(OmegaConf.create()):
            OmegaConf.update(cfg, key, override.value())
    except (OmegaConfBaseException, AttributeError) as error:
        raise UserError(f"This run has no setting {key}.{did_you_mean(key, flatten_config(cfg))}") from error


def changed_settings(saved: DictConfig, wanted: DictConfig) -> dict[str, tuple[Any, Any]]:
    """{key: (what it was, what it would be)}, those that follow from others last; None for what is not there."""
    before, after = flatten_config(saved), flatten_config(wanted)
    keys = [*before, *(key for key in after if key not in before)]
    keys = sorted((key for key in keys if before.get(key) != after.get(key)), key=lambda key: is_derived(wanted, key))
    return {key: (before.get(key), after.get(key)) for key in keys}


def is_derived(cfg: DictConfig, key: str) -> bool:
    """Whether the value of a key, or a part of it, follows from another key's."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if node is None or name not in node:
        return False
    value = node[name]
    items = range(len(value)) if isinstance(value, ListConfig) else ()
    return OmegaConf.is_interpolation(node, name) or any(OmegaConf.is_interpolation(value, i) for i in items)


def is_resumable(key: str) -> bool:
    """Whether a run that goes on may change this key."""
    return any(key == free or key.startswith(f"{free}.") for free in RESUMABLE)


def flatten_config(node: DictConfig | ListConfig, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; a list is one value."""
    found = {}
    for key, value in node.items():
        if isinstance(value, DictConfig):
            found |= flatten_config(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = (
                OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value
            )
    return found

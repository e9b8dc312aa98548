"""The config of a run that is resumed with other settings, and what has changed in it."""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ganrun.config import docs
from ganrun.config.foreign_words import find_own_word
from ganrun.config.json_forms import flatten_settings
from ganrun.config.overrides import quote_override
from ganrun.config.relative_paths import make_changes_absolute
from ganrun.config.renames import iterate_values
from ganrun.errors import UserError, did_you_mean, ganrun_command

log = logging.getLogger(__name__)
IMAGE_FORMAT = ("size", "channels")  # settings of data that the networks are built for


def apply_overrides(saved: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return a copy of the config with overrides such as "kimg=2000" and "logger=csv" applied.

    Choices in groups come first, as in Hydra. Other data keep the size and the channels for which the networks are
    built, unless the overrides set them.
    Raises UserError for a key that the config does not have.
    """
    cfg = saved.copy()
    OmegaConf.set_struct(cfg, True)
    parsed = OverridesParser.create().parse_overrides([*overrides])
    for override in parsed:
        if override.is_sweep_override() or override.is_delete():
            raise UserError(f"{override.input_line} is not possible for an existing run. Give one value: key=value.")
    for override in sorted(filter(is_choice, parsed), key=lambda choice: choice.key_or_group in docs.NETWORK_PARTS):
        _apply_choice(cfg, override)
    if any(override.key_or_group == "data" for override in parsed):
        _keep_image_format(cfg, saved, {override.key_or_group for override in parsed})
    for override in parsed:
        if not is_choice(override):
            _apply_value(cfg, override)
    return make_changes_absolute(saved, cfg)


def restore_references(saved: DictConfig, choices: Mapping[str, str]) -> DictConfig:
    """Return a copy of a run's config whose networks follow its other settings again, as in conf/network.

    choices: of the run, in config groups.

    Building a run has put values in the places of references such as ${data.shape}. A value that the user has set
    stays.
    """
    cfg = saved.copy()
    chosen = [f"{group}={choices[group]}" for group in ("network", *docs.NETWORK_PARTS) if choices.get(group)]
    if not chosen or not all(re.fullmatch(r"\w+=[\w-]+", choice) for choice in chosen):  # a stranger may have chosen
        return cfg
    with suppress(Exception):  # a file of the user's own that is not there any more
        for key, reference in iterate_values(OmegaConf.to_container(compose("train", chosen).network)):
            old = OmegaConf.select(saved.network, key)
            if isinstance(reference, str) and "${" in reference and old is not None:
                OmegaConf.update(cfg.network, key, reference)
                if OmegaConf.select(cfg.network, key, throw_on_resolution_failure=False) != old:
                    OmegaConf.update(cfg.network, key, old)
    return cfg


def chosen_groups(overrides: Sequence[str]) -> dict[str, str]:
    """Return {group: name} of the overrides that choose a file of a config group."""
    parsed = OverridesParser.create().parse_overrides([*overrides])
    return {override.key_or_group: str(override.value()) for override in parsed if is_choice(override)}


def update_choices(choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, str]:
    """Return the choices of a run with those of the overrides; network= replaces all parts of the networks."""
    given = chosen_groups(overrides)
    replaced = docs.NETWORK_PARTS if "network" in given else ()
    return {group: name for group, name in choices.items() if group not in replaced} | given


def is_choice(override: Override) -> bool:
    """Return whether the override chooses a file of a config group, as data=folder does."""
    return docs.is_group(override.key_or_group, docs.conf_dirs(None))


def _keep_image_format(cfg: DictConfig, saved: DictConfig, given: set[str]) -> None:
    names = [name for name in IMAGE_FORMAT if name in saved.data and name in cfg.data and f"data.{name}" not in given]
    changed = {name: saved.data[name] for name in names if saved.data[name] != cfg.data[name]}
    for name, value in changed.items():
        cfg.data[name] = value
    if changed:
        shown = " ".join(f"data.{name}={value}" for name, value in changed.items())
        log.info("%s as before: the networks are built for it", shown)


def _apply_choice(cfg: DictConfig, override: Override) -> None:
    """Replace the settings of a group. Raises UserError if the config has no node of the group's name."""
    group = override.key_or_group
    if group in docs.NETWORK_PARTS and "network" in cfg:
        part = compose("train", ["network=none", override.input_line or ""]).network[group]
        OmegaConf.update(cfg.network, group, part, merge=False, force_add=True)
        return
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
        own = find_own_word("resume", key, override.input_line.partition("=")[2] if override.input_line else "")
        hint = f" In ganrun it is {own}" if own else did_you_mean(key, flatten_config(cfg))
        raise UserError(f"This run has no setting {key}.{hint}") from error


def changed_settings(saved: DictConfig, wanted: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Return {key: (value before, value after)}, keys derived from others last; None stands for an absent key."""
    before, after = flatten_config(saved), flatten_config(wanted)
    keys = [*before, *(key for key in after if key not in before)]
    keys = sorted((key for key in keys if before.get(key) != after.get(key)), key=lambda key: is_derived(wanted, key))
    return {key: (before.get(key), after.get(key)) for key in keys}


def check_init_from(saved: DictConfig, wanted: DictConfig) -> None:
    """Raise UserError if the config of a run, or of a branch, is to start from other weights than its own."""
    before, after = saved.get("init_from"), wanted.get("init_from")
    if before != after:
        command = ganrun_command("train", *([f"init_from={quote_override(after)}"] if after else []))
        raise UserError(
            f"init_from cannot change from {before} to {after}: a run goes on from its own weights. Leave it out, or "
            f"start a new run: {command}"
        )


def is_derived(cfg: DictConfig, key: str) -> bool:
    """Return whether the value of a key, or an item of it, is an interpolation of another key."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    if node is None or name not in node:
        return False
    value = node[name]
    items = range(len(value)) if isinstance(value, ListConfig) else ()
    return OmegaConf.is_interpolation(node, name) or any(OmegaConf.is_interpolation(value, i) for i in items)


def flatten_config(config: DictConfig) -> dict[str, Any]:
    """Return the resolved settings of a config as {"a.b": 1}."""
    return flatten_settings(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))

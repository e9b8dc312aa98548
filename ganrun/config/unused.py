"""Settings of a command that nothing reads."""

import re
from collections.abc import Iterable
from functools import cache

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ganrun.config import trust
from ganrun.config.docs import NETWORK_PARTS
from ganrun.config.overrides import OVERRIDE, override_keys
from ganrun.config.renames import INTERPOLATION, iterate_values
from ganrun.config.schema import GROUPS, SETTINGS
from ganrun.errors import UserError, did_you_mean
from ganrun.files import conf_dir


def check_network_parts(cfg: DictConfig) -> None:
    """Raise UserError for a part of the networks that the model does not take, and for settings that lost their parts.

    Must run when networks that are not used are gone. Without generator= and its like, nothing is refused.
    """
    names = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    chosen = {part: names[part] for part in NETWORK_PARTS if names.get(part) and part not in cfg}
    model = OmegaConf.to_yaml(cfg.model)
    taken = sorted({*re.findall(r"\$\{network\.(\w+)", model)})
    if chosen and "${network" not in model and HydraConfig.get().job.config_name != "train":
        return  # the config of a run without a checkpoint, in which values are in the places of interpolations
    for part, name in chosen.items():
        if part not in taken and "${network}" not in model:
            takes = f"its networks are {', '.join(taken)}" if taken else "it takes no networks"
            raise UserError(f"{part}={name} has no effect on model={names['model']}: {takes}. Leave it out.")
    for key in sorted(override_keys(HydraConfig.get().overrides.task)) if chosen else ():
        if is_shared_setting(cfg, key) and f"${{{key}}}" not in model + OmegaConf.to_yaml(cfg.network):
            parts = [f"{part}={name}" for part, name in chosen.items()]
            raise UserError(
                f"{key} has no effect with {' and '.join(parts)}: a part of another set than "
                f"network={names['network']} has settings of its own. To list them: "
                f"ganrun train {' '.join(parts)} --help"
            )


def is_shared_setting(cfg: DictConfig, key: str) -> bool:
    """Return whether this is a key of the network set itself, such as network.width, for its parts to share."""
    group, _, name = key.partition(".")
    return group == "network" and name in cfg.network and not OmegaConf.is_config(cfg.network[name])


def check_added_settings(cfg: DictConfig, players: Iterable[str]) -> None:
    """Raise UserError for +key=value in the command that no class takes, no setting refers to and ganrun does not know.

    players: names of the model's players, whose optimizers have settings of their own.
    With classes of the user's own, which may read the whole config, nothing is refused.
    """
    if cfg.get("parent") is not None:
        raise UserError("parent is set by ganrun resume RUN branch=true. Leave it out.")
    if cfg.get("started_in") is not None:
        raise UserError(
            "started_in is set by ganrun: relative paths count from the folder where you start it. Leave it out."
        )
    content = OmegaConf.to_container(cfg)
    values = [*iterate_values(content)]
    if any(key.endswith("_target_") and value and value not in trust.trusted_classes() for key, value in values):
        return
    references = {name for _, value in values if isinstance(value, str) for name in INTERPOLATION.findall(value)}
    for match in filter(None, map(OVERRIDE.match, HydraConfig.get().overrides.task)):
        key = match["key"]
        if match["sign"] in ("+", "++") and not is_read(cfg, key, references, [*players]):
            names = [name for name in SETTINGS if "*" not in name and OmegaConf.select(cfg, name) is not None]
            raise UserError(f"+{key} has no effect: nothing reads a setting of this name.{did_you_mean(key, names)}")


def is_read(cfg: DictConfig, key: str, references: set[str], players: list[str]) -> bool:
    """Return whether a setting of the config has an effect."""
    first, *rest = key.split(".")
    is_group = re.search("[/@]", key) or key in HydraConfig.get().runtime.choices
    if (is_group and first not in ("loss", "regularizer")) or first in ("hydra", "sweep", "callbacks"):
        return True
    if first == "optimizers":
        return not rest or rest[0] in players
    parents = [OmegaConf.select(cfg, key[: match.start()]) for match in re.finditer(r"\.", key)]
    if any(isinstance(parent, DictConfig) and parent.get("_target_") for parent in parents):
        return True  # the class refuses arguments that it does not have
    if any(f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.") for name in references):
        return True
    return key in SETTINGS and first not in GROUPS and first in top_level_settings()


@cache
def top_level_settings() -> frozenset[str]:
    """Return the settings of ganrun train that are in no group; other commands have others, such as `input`."""
    return frozenset(map(str, DictConfig(OmegaConf.load(conf_dir() / "train.yaml"))))

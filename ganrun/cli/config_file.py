"""A YAML file on the command line of `ganrun train`: settings, or the whole config of a run."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ganrun.config.overrides import OVERRIDE, override_keys, quote_value
from ganrun.errors import UserError, ganrun_command

SUFFIXES = (".yaml", ".yml")
PARTS_OF_A_RUN = ("model", "data", "trainer", "callbacks")  # nodes of every run's config.yaml


def split_config_file(args: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split off the first argument that names a YAML file."""
    for i, arg in enumerate(args):
        if not OVERRIDE.match(arg) and arg.endswith(SUFFIXES):
            return Path(arg).expanduser(), [*args[:i], *args[i + 1 :]]
    return None, [*args]


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the nested settings in a YAML file. Raises UserError if it is missing or holds something else."""
    from ganrun.config.saved_yaml import MAX_BYTES, parse_saved_config  # imports OmegaConf
    from ganrun.files import read_text

    if not path.is_file():
        raise UserError(
            f"{path} {'is not a file' if path.exists() else 'does not exist'}. A run is trained by settings, "
            f"or by a YAML file of settings: {ganrun_command('train')} FILE.yaml"
        )
    try:
        return parse_saved_config(read_text(path, MAX_BYTES, follow_links=True))
    except (OSError, ValueError) as error:
        example = "model: dcgan, and optimizer: with lr: 1e-4 in the next line"
        raise UserError(f"{path} cannot be used: {error}. It must hold settings, such as {example}.") from error


def is_whole_config(content: dict[str, Any]) -> bool:
    """Whether the settings are the config of a run, with its classes, instead of some settings."""
    nodes = [content.get(name) for name in PARTS_OF_A_RUN]
    return all(isinstance(node, dict) for node in nodes) and "_target_" in content["model"]


def check_file_trust(content: dict[str, Any], path: Path) -> None:
    """Raise UserError for settings that name foreign classes, call resolvers or change Hydra, and so run code."""
    from omegaconf import DictConfig

    from ganrun.config import interpolations, trust

    for key, value in interpolations.resolver_calls(content):
        trust.refuse(path, key, value, "computes its value with a resolver")
    for key in (key for key in content if key.partition("/")[0].partition(".")[0] == "hydra"):
        trust.refuse(path, key, content[key], "changes Hydra, which may load other configs")
    trust.check_trusted(DictConfig(content), path)


def overrides_of_file(content: dict[str, Any], path: Path, given: Sequence[str]) -> list[str]:
    """Return the settings of a file as overrides, without those that the command line gives.

    A node with a _target_, a class of the user's own, may have any keys. Raises UserError for lists of defaults that
    name files beside this one.
    """
    choices = [*choices_of_defaults(content.get("defaults", []), path)]
    settings = [*setting_overrides({key: value for key, value in content.items() if key != "defaults"})]
    keys = override_keys(given)
    return [override for override in [*choices, *settings] if not override_keys([override]) & keys]


def choices_of_defaults(defaults: Any, path: Path) -> Iterator[str]:
    """Yield the choices in a list of defaults, such as `- override /model: dcgan`, as overrides."""
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if entry == "_self_":
            continue
        pairs = [*entry.items()] if isinstance(entry, dict) else []
        match = re.fullmatch(r"(?:override )?/?(\w+)", str(pairs[0][0])) if len(pairs) == 1 else None
        if match is None:
            command = f"{ganrun_command('train', '--config-dir')} FOLDER experiment={path.stem}"
            raise UserError(
                f"{path} has the default {entry}, and only choices such as model: dcgan work there. To build on other "
                f"files, put it into FOLDER/experiment/ with the first line `# @package _global_`, and: {command}"
            )
        yield f"{match[1]}={pairs[0][1]}"


def setting_overrides(node: dict[str, Any], prefix: str = "", sign: str = "") -> Iterator[str]:
    """Yield nested settings as overrides. sign: ++ below a node with a class, whose keys the configs may not have."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from setting_overrides(value, f"{prefix}{key}.", "++" if "_target_" in value or sign else "")
        else:
            yield f"{sign}{prefix}{key}={override_value(value)}"


def override_value(value: Any) -> str:
    """Return a value of YAML in Hydra's grammar. A text stays a text, and an interpolation one."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{override_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(override_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quote_value(value) if isinstance(value, str) else repr(value)

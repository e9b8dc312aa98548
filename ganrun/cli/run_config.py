"""The config.yaml of a run as overrides, for a new run with its settings."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, ListConfig, OmegaConf

import ganrun.config.network_parts
import ganrun.config.resolvers  # noqa: F401  both for what is composed
from ganrun.cli.config_file import override_value
from ganrun.config import docs
from ganrun.config.overrides import override_keys, quote_override
from ganrun.config.relative_paths import anchor_paths
from ganrun.errors import UserError
from ganrun.files import conf_dir

# Settings of one run, and logger.save_dir, which the choice of the logger sets to its folder
OF_ONE_RUN = {"folder", "started_in", "parent", "resume", "dry_run", "logger.save_dir"}
IN_FOLDER = re.compile(r"more_loggers\.[^.]+\.save_dir")
ABSENT = object()
PLAIN_NAME = re.compile(r"[\w-]+(/[\w-]+)*")


def choices_of_run(path: Path, folders: Sequence[Path]) -> list[str]:
    """Return the choices of the run whose config.yaml is at `path`, as overrides. UserError if they are unknown.

    folders: of configs.
    """
    from ganrun.training.run_folder import read_status

    choices = read_status(path.parent).get("choices")
    if not choices:
        raise UserError(
            f"{path} is the config of a run, and the status.json beside it, which has the run's choices, is missing. "
            "Give the file in its run folder, or a file with some settings, such as model: dcgan."
        )
    return [f"{group}={name}" for group, name in choices.items() if is_own_choice(group, name, folders)]


def overrides_of_run(
    content: dict[str, Any],
    path: Path,
    choices: Sequence[str],
    given: Sequence[str],
    folders: Sequence[Path],
    is_trusted: bool,
) -> list[str]:
    """Return the choices of a run and the settings that differ from them, without those that the command line gives.

    content: of the run's config.yaml at `path`. It is resolved: that D's learning rate follows from optimizer.lr is
    known only from the choices. is_trusted: foreign classes may be built.
    Raises UserError for a config that is damaged or may not be trusted.
    """
    from ganrun.config import trust
    from ganrun.config.resume_rules import flatten_config

    with trust.explain_unusable_settings(path):
        saved = trust.open_saved_config(content, path, is_trusted)
        if not is_trusted:
            trust.check_logger_paths(saved, Path(str(saved.folder)), path)
        saved = anchor_paths(saved)
        wanted = flatten_config(saved)
        wanted |= {key: "${folder}" for key in wanted if IN_FOLDER.fullmatch(key)}
        own = [*choices, *differing_settings([*choices, *search_paths(folders)], wanted)]
    keys = override_keys(given)
    replaced = tuple(f"{key}." for key in keys if docs.is_group(key, [*folders]))
    return [o for o in own if not override_keys([o]) & keys and not o.lstrip("+").startswith(replaced)]


def is_own_choice(group: str, name: Any, folders: Sequence[Path]) -> bool:
    """Whether a choice of the run is one of the new run. An experiment's settings are those of the run."""
    is_plain = isinstance(name, str) and bool(PLAIN_NAME.fullmatch(name) and PLAIN_NAME.fullmatch(group))
    return is_plain and group not in ("experiment", "run", "sweep") and docs.is_group(group, [*folders])


def search_paths(folders: Sequence[Path]) -> list[str]:
    own = [f"file://{folder.absolute()}" for folder in folders if folder != conf_dir()]
    return [f"hydra.searchpath=[{','.join(map(quote_override, own))}]"] if own else []


def differing_settings(choices: Sequence[str], wanted: Mapping[str, Any]) -> list[str]:
    """Return the settings in which a run differs from its choices: first plain ones, then what follows from others."""
    settings: list[str] = []
    for takes_references in (False, True):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            base = compose("train", [*choices, *settings])
        OmegaConf.set_struct(base, False)  # of which the run may have other keys
        for key, value in wanted.items():
            if key not in OF_ONE_RUN and follows_others(base, key) == takes_references:
                before = OmegaConf.select(base, key, default=ABSENT, throw_on_resolution_failure=False)
                before = OmegaConf.to_container(before, resolve=True) if OmegaConf.is_config(before) else before
                if before != value or type(before) is not type(value):
                    settings.append(f"{'++' if before is ABSENT else ''}{key}={override_value(value)}")
    return settings


def follows_others(cfg: DictConfig, key: str) -> bool:
    """Whether a key, a node that it is in, or an item of its list is a reference to other keys."""
    node: Any = cfg
    for name in key.split("."):
        node = node._get_node(name) if isinstance(node, DictConfig) else None
        if node is None or node._is_interpolation():
            return node is not None
    is_list = isinstance(node, ListConfig) and not node._is_none()
    return is_list and any(OmegaConf.is_interpolation(node, index) for index in range(len(node)))

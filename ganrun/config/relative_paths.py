"""Relative paths in the config of a run: they count from the folder where the run was started."""

import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.config.interpolations import quote_text

# Settings that are paths of files to read
PATHS = ("data.root", "metrics.weights", "metrics.extractor.weights", "init_from")


def anchor_paths(cfg: DictConfig) -> DictConfig:
    """Return the config of a run, changed: relative paths that lead nowhere else are absolute.

    They are if the run was started in another folder and they exist there. In a project that was moved as a whole they
    do not, and count from the working folder.
    """
    start = cfg.get("started_in")
    if isinstance(start, str) and os.path.realpath(start) != os.path.realpath("."):
        _replace_paths(cfg, lambda path: str(Path(start, path)) if Path(start, path).exists() else path)
    return cfg


def make_changes_absolute(saved: DictConfig, cfg: DictConfig) -> DictConfig:
    """Return `cfg`, changed: its paths that differ from the saved config's, and so count from here, are absolute."""
    changed = [key for key in PATHS if _plain(saved, key) != _plain(cfg, key)]
    _replace_paths(cfg, os.path.abspath, changed)
    return cfg


def _replace_paths(cfg: DictConfig, replace: Any, keys: Any = PATHS) -> None:
    """Replace the relative paths of these settings, each a path, a list of paths or neither."""

    def change(value: Any) -> Any:
        is_relative = isinstance(value, str) and not os.path.isabs(os.path.expanduser(value)) and "://" not in value
        return quote_text(replace(value)) if is_relative else value

    for key in keys:
        value = _plain(cfg, key)
        new = [change(each) for each in value] if isinstance(value, list) else change(value)
        if new != value:
            OmegaConf.update(cfg, key, new)


def _plain(cfg: DictConfig, key: str) -> Any:
    value = OmegaConf.select(cfg, key, throw_on_resolution_failure=False)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

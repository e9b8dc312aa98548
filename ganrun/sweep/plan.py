"""What a sweep is: its search space, and the definition that gives it its name and identifies it later."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig

from ganrun.config import schema
from ganrun.config.json_forms import MAX_NAME, is_plain_name
from ganrun.config.overrides import override_keys
from ganrun.errors import UserError
from ganrun.files import outputs_dir
from ganrun.sweep import naming, state
from ganrun.sweep.executors import slurm
from ganrun.sweep.hydra_context import CommandContext
from ganrun.sweep.search.conditions import ConfigCache
from ganrun.sweep.search.space import SearchSpace, parse_space
from ganrun.sweep.search.storage import check_study_is_new

log = logging.getLogger(__name__)


@dataclass
class SweepPlan:
    """A sweep before it starts, and the command that starts it."""

    command: CommandContext
    space: SearchSpace
    definition: dict
    name: str
    folder: Path


def build_plan(
    context: HydraContext, config: DictConfig, overrides: Sequence[str], command: CommandContext
) -> SweepPlan:
    """Return the plan of a command's overrides. Raises UserError for overrides that cannot be swept."""
    loader, settings = context.config_loader, config.sweep
    space = parse_space(overrides, loader, settings, config.seed)
    space.configs = ConfigCache(
        lambda values: loader.load_sweep_config(
            config, [*space.fixed, *(f"{key}={value}" for key, value in values.items())]
        ),
        lambda key: bool(loader.get_group_options(key)),
    )
    definition = build_definition(space, settings)
    check_name(settings.name)
    name = str(settings.name or sweep_name(definition))
    parsed = OverridesParser.create().parse_overrides([*overrides])
    given = [Path(str(override.value())) for override in parsed if override.key_or_group == "folder"]
    return SweepPlan(command, space, definition, name, given[0] if given else outputs_dir("sweeps") / name)


def check_name(name: str | None) -> None:
    """Raise UserError for the name of a sweep that is not a folder below outputs/sweeps."""
    parts = str(name or "").split("/")
    if name and not all(map(is_plain_name, parts)):
        raise UserError(
            f"sweep.name must be the name of a folder below {outputs_dir('sweeps')}, not hidden and of at most "
            f"{MAX_NAME} bytes, got {name}. For a folder elsewhere, give folder= instead."
        )


def build_definition(space: SearchSpace, settings: DictConfig) -> dict:
    """Return what identifies a sweep, as sweep.json has it."""
    axes = []
    for axis in space.axes:
        values = ",".join(axis.values) if axis.values else f"interval({axis.low},{axis.high}){'log' * axis.is_log}"
        axes.append(f"{axis.key}={values}" + (f" if {axis.condition.text}" if axis.condition else ""))
    keys = [key for key in sorted(settings) if schema.find_setting(f"sweep.{key}").in_sweep_identity]
    identity = {key: settings[key] for key in keys if key not in ("seeds", "space", "only")}  # these are axes and seeds
    fixed = sorted(override for override in space.fixed if override_keys([override]) != {"dry_run"})
    return {"fixed": fixed, "axes": axes, "seeds": space.seeds, "settings": identity}


def sweep_name(definition: dict) -> str:
    """Return a name made from the swept keys and a digest of the definition."""
    keys = [axis.partition("=")[0] for axis in definition["axes"]] + ["seed"] * (len(definition["seeds"]) > 1)
    # Without the database, which may have another address on another machine
    settings = {key: value for key, value in definition["settings"].items() if key != "storage"}
    digest = hashlib.blake2b(json.dumps({**definition, "settings": settings}).encode(), digest_size=3).hexdigest()
    swept = "+".join(naming.short_keys(keys))[: naming.MAX_NAME_LENGTH]
    return f"{swept or 'runs'}-{digest}"


def move_aside(plan: SweepPlan, storage: str | None) -> None:
    """Rename the folder of an earlier start (sweep.fresh=true). Raises UserError if other processes may use it."""
    folder = plan.folder
    try:
        earlier = state.load_sweep(folder) if (folder / state.SWEEP_FILE).exists() else None
    except UserError:
        earlier = state.SweepState(folder, {}, id="unknown")
    if storage:
        check_study_is_new(storage, earlier.study if earlier else plan.name)
    if earlier is None:
        return
    with earlier.locked():
        if state.RunnerRegistry(folder).others():
            raise UserError(f"Another process works on {folder}. Stop it first, or give another sweep.name=.")
        slurm.check_none_queued(earlier)
        target = folder.with_name(f"{folder.name}-until-{time.strftime('%Y-%m-%d-%H%M%S')}")
        folder.rename(target)
    log.info("moved         the earlier sweep to %s", target)

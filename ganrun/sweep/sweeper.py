"""A sweep from the command line's settings to its ranking: what Hydra's plugin calls."""

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from ganrun.config.overrides import config_dir_flags, quote_override, repeatable_overrides, search_path_overrides
from ganrun.errors import UserError
from ganrun.sweep import hydra_context, naming, state, validate
from ganrun.sweep.executors import slurm
from ganrun.sweep.executors.base import Executor
from ganrun.sweep.executors.hydra_launcher import HydraExecutor
from ganrun.sweep.executors.local import GpuPool, LocalExecutor, visible_gpus
from ganrun.sweep.executors.slurm import SlurmExecutor
from ganrun.sweep.hydra_context import CommandContext
from ganrun.sweep.report import leaderboard
from ganrun.sweep.runner import Runner
from ganrun.sweep.search import space
from ganrun.sweep.search.conditions import ConfigCache
from ganrun.sweep.search.space import SearchSpace
from ganrun.sweep.search.study import GridSearch, SearchStrategy, StudySearch, check_study_is_new
from ganrun.sweep.signals import interrupt_on_signals
from ganrun.sweep.state import FINISHED, SWEEP_VARIABLE, SweepJob, SweepState
from ganrun.training.run_folder import check_writable

log = logging.getLogger(__name__)
# Keys of `sweep` that decide how a sweep runs and not what it is
LOOSE = ("name", "jobs", "jobs_per_gpu", "retries", "fail_fast", "fresh", "trials", "sbatch")


@dataclass
class SweepPlan:
    """What a sweep is: its command, its points, the definition that identifies it, its name and its folder."""

    command: CommandContext
    space: SearchSpace
    definition: dict
    name: str
    folder: Path


def run_sweep(context, config: DictConfig, words: Sequence[str], command: CommandContext) -> None:
    """Train the jobs that are left of the sweep with these overrides; the results go to `command.outcomes`."""
    validate.check_settings(config, command.overrides)
    plan = build_plan(context, config, words, command)
    configs = validate.compose_values(config, plan.space)
    config.sweep.direction = validate.score_direction(configs, config.sweep)
    if config.dry_run:
        log_plan(plan, config.sweep)
        return
    check_writable(plan.folder.absolute())
    if config.sweep.fresh:
        move_aside(plan, config.sweep.get("storage"))
    runner = build_runner(context, config, plan, configs)
    new = hydra_context.missing_folders(plan.folder)
    plan.folder.mkdir(parents=True, exist_ok=True)
    (plan.folder / state.LOCK_FILE).touch()  # by which the last sweep is found
    with interrupt_on_signals(runner.pool.warned):
        log_start(runner, plan.folder)
        try:
            runner.run()
        finally:
            command.outcomes[:] = list_outcomes(runner.state.jobs)
            conclude(runner, plan.folder, new)


def build_plan(context, config: DictConfig, words: Sequence[str], command: CommandContext) -> SweepPlan:
    loader, settings = context.config_loader, config.sweep
    wanted = space.parse_space(words, loader, settings.seeds, config.seed, settings.space, settings.only)
    wanted.composed = ConfigCache(
        lambda values: loader.load_sweep_config(
            config, [*wanted.fixed, *(f"{key}={value}" for key, value in values.items())]
        )
    )
    definition = build_definition(wanted, settings)
    name = str(settings.name or sweep_name(definition))
    return SweepPlan(command, wanted, definition, name, folder_override(words) or state.SWEEPS_DIR / name)


def build_runner(context, config: DictConfig, plan: SweepPlan, configs: Sequence[DictConfig]) -> Runner:
    """What trains the plan's jobs, from where an earlier start left them. configs: those of checks.composed."""
    settings = config.sweep
    known = state.load_sweep(plan.folder, plan.definition)
    known.study = known.study or plan.name
    known.command = repeatable_overrides("train", plan.command.overrides)
    known.flags = {name: value for name, value in plan.command.flags.items() if name == "--config-dir"}
    paths = search_path_overrides(config.hydra.overrides.hydra)
    return Runner(
        known,
        build_strategy(plan, config, known),
        build_executor(context, config, known, configs),
        plan.space.seeds,
        lambda job: [*job_args(plan, job), *paths],
        settings.metric,
        settings.direction,
        settings.retries,
        settings.fail_fast,
    )


def log_plan(plan: SweepPlan, settings: DictConfig) -> None:
    """What a sweep would train."""
    points = GridSearch(plan.space).points if settings.sampler == "grid" else []
    for k, values in enumerate(points):
        log.info("point %d  %s", k, " ".join(f"{key}={value}" for key, value in values.items()))
    count = len(points) or settings.trials
    seeds = ", ".join(map(str, plan.space.seeds))
    log.info("%d points by %s, each with seed %s, in %s", count, settings.sampler, seeds, plan.folder)
    log.info("dry_run=true: nothing was written. Leave it out to train.")


def build_definition(wanted: SearchSpace, settings: DictConfig) -> dict:
    """What makes a sweep this one, in the form of sweep.json."""
    axes = []
    for axis in wanted.axes:
        law = ",".join(axis.values) if axis.values else f"interval({axis.low},{axis.high}){'log' * axis.is_log}"
        axes.append(f"{axis.key}={law}" + (f" if {axis.only.text}" if axis.only else ""))
    own = {key: settings[key] for key in sorted(settings) if key not in (*LOOSE, "seeds", "space", "only")}
    return {"fixed": sorted(wanted.fixed), "axes": axes, "seeds": wanted.seeds, "settings": own}


def folder_override(words: Sequence[str]) -> Path | None:
    """folder=, if it is given."""
    for override in OverridesParser.create().parse_overrides([*words]):
        if override.key_or_group == "folder" and not override.is_sweep_override():
            return Path(str(override.value()))
    return None


def sweep_name(definition: dict) -> str:
    """A name made of what varies, and of a digest of all."""
    keys = [axis.partition("=")[0] for axis in definition["axes"]] + ["seed"] * (len(definition["seeds"]) > 1)
    # Without the database, which other machines may name otherwise
    own = {key: value for key, value in definition["settings"].items() if key != "storage"}
    digest = hashlib.blake2b(json.dumps({**definition, "settings": own}).encode(), digest_size=3).hexdigest()
    varied = "+".join(naming.short_keys(keys))[: naming.MAX_NAME_LENGTH]
    return f"{varied or 'runs'}-{digest}"


def move_aside(plan: SweepPlan, storage: str | None) -> None:
    """Moves aside what an earlier start left. Raises UserError where others may be at work on it."""
    folder = plan.folder
    earlier = state.load_or_empty(folder) if (folder / state.SWEEP_FILE).exists() else None
    if storage:
        check_study_is_new(storage, earlier.study if earlier else plan.name)
    if earlier is None:
        return
    with earlier.locked():
        if state.RunnerRegistry(folder).others():
            raise UserError(f"{folder} is being worked on. Stop that first, or give another sweep.name=.")
        slurm.check_none_queued(earlier)
        aside = folder.with_name(f"{folder.name}-until-{time.strftime('%Y-%m-%d-%H%M%S')}")
        folder.rename(aside)
    log.info("moved aside   %s", aside)


def build_executor(context, config: DictConfig, known: SweepState, configs: Sequence[DictConfig]) -> Executor:
    """Where the jobs run: in Slurm's queue, by another of Hydra's launchers, or on this machine."""
    settings, variables = config.sweep, {SWEEP_VARIABLE: str(known.folder.absolute())}
    if settings.sbatch is not None:
        return SlurmExecutor(settings.jobs, settings.sbatch, variables, known)
    if validate.chosen_launcher(config):
        return HydraExecutor(context, config, settings.jobs, known.folder, variables)
    names = visible_gpus()
    gpus = validate.gpus_per_job(configs, settings.jobs, len(names))
    return LocalExecutor(settings.jobs, GpuPool(names if gpus else [], settings.jobs_per_gpu), variables, gpus)


def build_strategy(plan: SweepPlan, config: DictConfig, known: SweepState) -> SearchStrategy:
    settings = config.sweep
    if settings.sampler == "grid":
        return GridSearch(plan.space)
    law = (settings.sampler, settings.trials, settings.direction or "min", config.seed)
    return StudySearch(plan.space, *law, known, settings.storage)


def job_args(plan: SweepPlan, job: SweepJob) -> list[str]:
    """The command that trains this job, or goes on with it."""
    values = [f"{key}={value}" for key, value in job.values.items()]
    run = quote_override(str(plan.folder / job.name))
    words = [*plan.space.fixed, *values, f"seed={job.seed}", f"folder={run}", "resume=true"]
    return ["train", *config_dir_flags(plan.command.flags), *repeatable_overrides("train", words)]


def log_start(runner: Runner, folder: Path) -> None:
    ended = sum(job.state in FINISHED for job in runner.state.jobs)
    told = f", {ended} of them done" if ended else ""
    log.info("sweep         %s: %d jobs%s", folder, runner.total, told)


def list_outcomes(jobs: Sequence[SweepJob]) -> list[tuple[str, int]]:
    """Return the name and the exit code of each job that was started."""
    codes = {"refused": 2, **dict.fromkeys(FINISHED, 0)}
    return [(job.name, codes.get(job.state, 1)) for job in jobs if job.state != "waiting"]


def conclude(runner: Runner, folder: Path, new: Sequence[Path]) -> None:
    """Writes and shows the ranking, and says how the jobs ended; of a sweep that trained nothing, nothing stays.

    new: the folders that this start has made, the inner ones first.
    """
    jobs = runner.state.jobs
    if others := runner.proposals.elsewhere():
        log.info("%s", others)
    is_empty = not any((folder / job.name).exists() for job in jobs)
    if folder in new and is_empty and all(job.state in ("refused", "waiting") for job in jobs):
        with runner.state.locked():
            if not runner.runners.others() and runner.proposals.forget():
                hydra_context.remove_folders(new)
    if not folder.exists() or not jobs:
        return
    if runner.given_up:
        log.error("%s", runner.given_up)
    with runner.state.change():
        leaderboard.show_leaderboard(runner.state, runner.metric, runner.mode)

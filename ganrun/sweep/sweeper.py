"""A sweep from the command line's settings to its leaderboard; Hydra's plugin calls it."""

import logging
import math
import os
import signal
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from hydra.types import HydraContext
from omegaconf import DictConfig

from ganrun.config.free_memory import free_main_memory
from ganrun.config.json_forms import MAX_THREADS
from ganrun.config.overrides import config_dir_flags, quote_override, repeatable_overrides, search_path_overrides
from ganrun.errors import UserError, ganrun_command, heeded_signals, interrupted_by
from ganrun.files import cpu_count
from ganrun.sweep import hydra_context, saved_command, state, validate
from ganrun.sweep.dry_run import log_plan, log_time
from ganrun.sweep.executors.base import Executor
from ganrun.sweep.executors.fork_server import HAS_FORK, ForkServer
from ganrun.sweep.executors.gpus import GpuPool, visible_gpus
from ganrun.sweep.executors.hydra_launcher import HydraExecutor
from ganrun.sweep.executors.local import LocalExecutor, local_environment
from ganrun.sweep.executors.slurm import SlurmExecutor
from ganrun.sweep.hydra_context import CommandContext
from ganrun.sweep.job_state import JobState
from ganrun.sweep.plan import SweepPlan, build_plan, move_aside
from ganrun.sweep.report import leaderboard
from ganrun.sweep.runner import Runner
from ganrun.sweep.search.strategy import GridSearch
from ganrun.sweep.search.study import StudySearch
from ganrun.sweep.state import SWEEP_VARIABLE, SweepJob, SweepState
from ganrun.terminal import working
from ganrun.training.run_folder import check_contents, check_writable

log = logging.getLogger(__name__)

MAX_CHECKED = 200  # points of a grid, each of which is checked: a quarter of a second each
MEMORY_OF_A_JOB = 2 * 2**30  # bytes; a training on the shipped digits takes about half of it


def run_sweep(context: HydraContext, config: DictConfig, overrides: Sequence[str], command: CommandContext) -> None:
    """Train what is left of a sweep, and write its leaderboard. Put names and exit codes into command.outcomes."""
    with working("sweep: reading the settings ..."):
        validate.check_settings(config, command.overrides)
        plan = build_plan(context, config, overrides, command)
    is_early = is_new(plan, config) and not config.dry_run  # its imports take as long as the checks
    sweep = SweepState(plan.folder, {})
    if is_early:
        config.sweep.jobs = config.sweep.jobs or jobs_at_once(config, sweep)
    server = start_server(config, sweep) if is_early else None
    with closing(server) if server else nullcontext():
        run_plan(context, config, command, plan, server)


def run_plan(
    context: HydraContext, config: DictConfig, command: CommandContext, plan: SweepPlan, server: ForkServer | None
) -> None:
    """Check the points of the plan and train what is left of it. server: if it has been started already."""
    with working("sweep: composing the points ..."):
        covering = validate.covering_points(plan.space)
        configs = [plan.space.configs.config(point) for point in covering]
        validate.check_sources(configs)
    if command.trust is False:
        saved_command.check_configs(plan, configs)
    config.sweep.direction = validate.score_direction(configs, config.sweep)
    if is_new(plan, config):
        check_before_start(plan, config, covering)
    if config.dry_run:
        jobs = log_plan(plan, config.sweep)
        if config.sweep.sbatch is None and not validate.chosen_launcher(config):
            sweep = SweepState(plan.folder, {})
            at_once = config.sweep.jobs or jobs_at_once(config, sweep)
            log_time(configs[0], jobs, min(at_once, jobs), threads_per_job(sweep, config.sweep))
        log.info("dry_run=true: nothing was written. Remove it to train.")
        return
    check_writable(plan.folder.absolute())
    check_contents(plan.folder, bool(command.trust), ganrun_command("sweep", "resume", plan.folder, "trust=true"))
    if config.sweep.fresh:
        move_aside(plan, config.sweep.get("storage"))
    runner = build_runner(context, config, plan, configs, server)
    new_folders = hydra_context.missing_folders(plan.folder)
    plan.folder.mkdir(parents=True, exist_ok=True)
    (plan.folder / state.LOCK_FILE).touch()  # `ganrun sweep last` finds the sweep by its time
    with stop_on_signals(runner.executor):
        finished = sum(job.state.is_finished for job in runner.state.jobs)
        done = f", {finished} of them done" if finished else ""
        log.info("sweep         %s: %d jobs%s", runner.state.folder, runner.total, done)
        try:
            runner.run()
        finally:
            started = [job for job in runner.state.jobs if job.state != JobState.WAITING]
            command.outcomes[:] = [(job.name, job.state.exit_code) for job in started]
            conclude(runner, new_folders)


def is_new(plan: SweepPlan, config: DictConfig) -> bool:
    return not (plan.folder / state.SWEEP_FILE).exists() or config.sweep.fresh


def check_before_start(plan: SweepPlan, config: DictConfig, covering: Sequence[dict[str, str]]) -> None:
    """Check all points of a grid before any job starts; of a large one or a search, points that have all values.

    Not for jobs of Slurm and Hydra's launchers, whose machines may have other data.  covering: those points.
    """
    validate.check_listed_values(plan.space)
    if config.sweep.sbatch is None and not validate.chosen_launcher(config):
        count = math.prod(len(axis.values) for axis in plan.space.axes)
        is_checked_whole = config.sweep.sampler == "grid" and count <= MAX_CHECKED
        validate.check_points(plan.space, plan.space.grid() if is_checked_whole else covering, config.sweep)


def build_runner(context, config: DictConfig, plan: SweepPlan, configs: Sequence[DictConfig], server) -> Runner:
    """Return what trains the plan's jobs, from where an earlier start left off. configs: of the sweep's values."""
    settings = config.sweep
    sweep = state.load_sweep(plan.folder, plan.definition)
    saved_command.check_jobs(sweep, plan.space)
    settings.jobs = settings.jobs or jobs_at_once(config, sweep)
    sweep.study = sweep.study or plan.name
    sweep.command = repeatable_overrides("train", [*plan.command.overrides])
    sweep.flags = {name: value for name, value in plan.command.flags.items() if name == "--config-dir"}
    paths = search_path_overrides(config.hydra.overrides.hydra)
    if settings.sampler == "grid":
        strategy = GridSearch(plan.space)
    else:
        direction = settings.direction or "min"
        search = (settings.sampler, settings.trials, direction, config.seed, sweep, settings.storage)
        strategy = StudySearch(plan.space, *search)
    executor = build_executor(context, config, sweep, configs, server)
    rules = (settings.metric, settings.direction, settings.retries, settings.fail_fast)
    return Runner(sweep, strategy, executor, plan.space.seeds, lambda job: [*job_args(plan, job), *paths], *rules)


def build_executor(context, config: DictConfig, sweep: SweepState, configs: Sequence[DictConfig], server) -> Executor:
    """Return the executor that the settings choose. configs: of the sweep's values, for the GPUs that they ask for."""
    settings = config.sweep
    sweep.threads = threads_per_job(sweep, settings)
    env = job_environment(sweep, settings)
    if settings.sbatch is not None:
        return SlurmExecutor(settings.jobs, env, settings.sbatch, sweep)
    if validate.chosen_launcher(config):
        return HydraExecutor(settings.jobs, env, context, config, sweep.folder)
    gpus = visible_gpus()
    gpus_per_job = validate.gpus_per_job(configs, settings.jobs, len(gpus))
    pool = GpuPool(gpus if gpus_per_job else [], settings.jobs_per_gpu)
    return LocalExecutor(settings.jobs, env, pool, gpus_per_job, server or start_server(config, sweep))


def start_server(config: DictConfig, sweep: SweepState) -> ForkServer | None:
    """Start the process that forks the jobs; None if they do not start here, or each is to be a new Python."""
    settings = config.sweep
    if settings.sbatch is not None or validate.chosen_launcher(config) or settings.start == "spawn" or not HAS_FORK:
        return None
    return ForkServer(local_environment(settings.jobs, job_environment(sweep, settings)))


def jobs_at_once(config: DictConfig, sweep: SweepState) -> int:
    """Return how many jobs run at the same time where sweep.jobs is null.

    Jobs on the CPU share it and the memory. Each of the others may want all of its GPUs or its place in a queue. And a
    search or pruner that looks at the scores so far would depend on which job ends first.
    """
    settings = config.sweep
    is_here = settings.sbatch is None and not validate.chosen_launcher(config)
    if not is_here or visible_gpus() or settings.pruner or settings.sampler not in ("grid", "random", "sobol"):
        return 1
    room = cpu_count() // threads_per_job(sweep, settings)
    free = free_main_memory()
    return max(1, room if free is None else min(room, free // MEMORY_OF_A_JOB))


def job_environment(sweep: SweepState, settings: DictConfig) -> dict[str, str]:
    """Return the variables that the jobs get, beside those of this process."""
    threads = threads_per_job(sweep, settings)
    return {SWEEP_VARIABLE: str(sweep.folder.absolute()), **({"OMP_NUM_THREADS": str(threads)} if threads else {})}


def threads_per_job(sweep: SweepState, settings: DictConfig) -> int:
    """Return how many CPU threads each job gets: those with which the sweep began, so that its points stay comparable.

    0 for jobs on GPUs or in Slurm's queue, unless sweep.threads is given. UserError if that differs from the beginning.
    """
    given, known = settings.threads, sweep.threads
    if given and known not in (0, given) and sweep.jobs:
        raise UserError(
            f"sweep.threads={given}, but {sweep.folder} began with {known}, and another number of threads changes the "
            "last bits of the weights. Leave it out, or start another sweep with sweep.name=."
        )
    if given or known:
        return given or known
    inherited = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if settings.sbatch is not None or visible_gpus():
        return 0
    return min(int(inherited), MAX_THREADS) if inherited.isdecimal() and int(inherited) else 1


def job_args(plan: SweepPlan, job: SweepJob) -> list[str]:
    """Return the arguments of `ganrun` that train this job, or continue it."""
    values = [f"{key}={value}" for key, value in job.values.items()]
    folder = quote_override(str(plan.folder / job.name))
    overrides = [*plan.space.fixed, *values, f"seed={job.seed}", f"folder={folder}", "resume=true"]
    return ["train", *config_dir_flags(plan.command.flags), *repeatable_overrides("train", overrides)]


def stop_on_signals(executor: Executor) -> AbstractContextManager:
    """Raise Interrupted at SIGINT, SIGTERM and SIGHUP within the block, unless they are ignored."""

    def prepare(signum: int, asks_again: bool) -> None:
        name = signal.Signals(signum).name
        if asks_again:
            log.info("%s: killing the jobs", name)
        else:
            log.info("%s: the jobs save and end. A second signal kills them.", name)
            executor.prepare_to_stop()

    return interrupted_by(heeded_signals(), prepare)


def conclude(runner: Runner, new_folders: Sequence[Path]) -> None:
    """Write and print the leaderboard; remove a sweep that has trained nothing, with its new folders."""
    sweep, folder = runner.state, runner.state.folder
    if others := runner.strategy.describe_others():
        log.info("%s", others)
    untrained = [job for job in sweep.jobs if job.state in (JobState.REFUSED, JobState.WAITING)]
    if folder in new_folders and untrained == sweep.jobs and not any((folder / job.name).exists() for job in untrained):
        with sweep.locked():
            if not runner.registry.others() and runner.strategy.delete():
                hydra_context.remove_folders(new_folders)
                log.info("nothing was trained: %s is removed", folder)
    if folder.exists() and sweep.jobs:
        if runner.abort_reason:
            log.error("%s", runner.abort_reason)
        with sweep.change():
            leaderboard.show_leaderboard(sweep, runner.metric, runner.mode)

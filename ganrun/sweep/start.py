"""A sweep from the command line's settings to its ranking: what Hydra's plugin calls."""

import hashlib
import json
import logging
import os
import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from rich.console import Console

from ganrun import sweeps
from ganrun.arguments import plainly, with_default_experiment
from ganrun.errors import Interrupted, UserError, did_you_mean
from ganrun.record import writable
from ganrun.sweep import board, report, space, state
from ganrun.sweep.pool import Devices, Pool, visible_gpus
from ganrun.sweep.proposals import SAMPLERS, Grid, Proposals, Search
from ganrun.sweep.results import Result, read
from ganrun.sweep.runner import Runner
from ganrun.sweep.slurm import Slurm
from ganrun.sweep.space import Space
from ganrun.sweep.state import ENDED, SWEEP, State, SweepJob

log = logging.getLogger(__name__)
# Keys of `sweep` that decide how a sweep runs and not what it is
LOOSE = ("name", "jobs", "jobs_per_gpu", "retries", "fail_fast", "fresh", "trials", "storage", "sbatch")


def sweep(context, task, config: DictConfig, words: Sequence[str]) -> None:
    """Trains what is left of the sweep that these words mean; its outcomes go to `sweeps.outcomes`."""
    settings = config.sweep
    check(settings)
    wanted = space.read(words, context.config_loader, settings.seeds, config.seed, settings.space)
    definition = defined(wanted, settings)
    folder = folder_of(settings, words, definition)
    check_composition(context, config, wanted)
    writable(folder.absolute())
    if settings.fresh:
        move_aside(folder)
    is_new = not folder.exists()
    known = state.load(folder, definition)
    known.command = known.command or [*sweeps.words]
    known.flags = {name: value for name, value in sweeps.flags.items() if name == "--config-dir"}
    folder.mkdir(parents=True, exist_ok=True)
    sweeps.latest[0] = folder
    with ended_by_signals():
        proposals = proposed(wanted, config, folder)
        runner = Runner(
            known,
            proposals,
            pool_of(settings, folder),
            wanted.seeds,
            lambda job: job_words(folder, wanted, job),
            settings.metric,
            settings.direction,
            settings.retries,
            settings.fail_fast,
        )
        announce(runner, folder)
        try:
            runner.run()
        finally:
            conclude(runner, folder, is_new)


def check(settings: DictConfig) -> None:
    """Refuses settings of a sweep that do not do."""
    if settings.sampler not in SAMPLERS:
        raise UserError(f"sweep.sampler={settings.sampler} is not known.{did_you_mean(settings.sampler, SAMPLERS)}")
    if settings.direction not in (None, "min", "max"):
        raise UserError(f"sweep.direction={settings.direction} does not do: it is min, max, or null.")
    if settings.pruner not in (None, "median", "hyperband"):
        raise UserError(f"sweep.pruner={settings.pruner} is not known. Allowed: median, hyperband, or null.")
    least = {"pruner_startup": 1, "jobs": 1, "jobs_per_gpu": 1, "fail_fast": 1, "retries": 0, "seeds": 1, "trials": 1}
    for key, low in least.items():
        value = settings.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
            raise UserError(f"sweep.{key}={value} does not do: it is a whole number from {low}.")


def defined(wanted: Space, settings: DictConfig) -> dict:
    """What makes a sweep this one, in the form of sweep.json."""
    axes = []
    for axis in wanted.axes:
        law = ",".join(axis.values) if axis.values else f"interval({axis.low},{axis.high}){'log' * axis.is_log}"
        axes.append(f"{axis.key}={law}")
    own = {key: settings[key] for key in sorted(settings) if key not in (*LOOSE, "seeds", "space")}
    return {"fixed": sorted(wanted.fixed), "axes": axes, "seeds": wanted.seeds, "settings": own}


def folder_of(settings: DictConfig, words: Sequence[str], definition: dict) -> Path:
    """Where a sweep lies: folder=, outputs/sweeps/<name>, or there under a name made of what varies."""
    for override in OverridesParser.create().parse_overrides([*words]):
        if override.key_or_group == "folder" and not override.is_sweep_override():
            return Path(str(override.value()))
    if settings.name:
        return state.HOME / str(settings.name)
    keys = [axis.partition("=")[0].rpartition(".")[2] for axis in definition["axes"]]
    varied = [sweeps.plain(key) for key in keys] + (["seed"] if len(definition["seeds"]) > 1 else [])
    digest = hashlib.blake2b(json.dumps(definition).encode(), digest_size=3).hexdigest()
    return state.HOME / "-".join(["+".join(varied) or "runs", digest])


def check_composition(context, config: DictConfig, wanted: Space) -> None:
    """Has Hydra compose each value once, so that what it would refuse is refused before anything starts."""
    first = {axis.key: axis.values[0] for axis in wanted.axes if axis.values}
    points = [{**first, axis.key: value} for axis in wanted.axes for value in axis.values] or [{}]
    for values in points:
        overrides = [*wanted.fixed, *(f"{key}={value}" for key, value in values.items())]
        context.config_loader.load_sweep_config(config, overrides)


def move_aside(folder: Path) -> None:
    if (folder / state.NAME).exists():
        aside = folder.with_name(f"{folder.name}-until-{time.strftime('%Y-%m-%d-%H%M%S')}")
        folder.rename(aside)
        log.info("moved aside   %s", aside)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise Interrupted, each time."""

    def end(signum, _):
        log.info("%s: the jobs save and end; a second one stops at once", signal.Signals(signum).name)
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, end) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def pool_of(settings: DictConfig, folder: Path) -> Pool | Slurm:
    """Where the jobs run: in Slurm's queue, or on this machine."""
    variables = {SWEEP: str(folder.absolute())}
    if settings.sbatch is not None:
        return Slurm(settings.jobs, settings.sbatch, variables)
    gpus = visible_gpus() if settings.jobs > 1 else []
    return Pool(settings.jobs, Devices(gpus, settings.jobs_per_gpu), variables)


def proposed(wanted: Space, config: DictConfig, folder: Path) -> Proposals:
    settings = config.sweep
    if settings.sampler == "grid":
        return Grid(wanted)
    metrics = config.get("metrics") or {}
    if not (settings.metric or metrics.get("monitor")):
        raise UserError(f"sweep={settings.sampler} needs a score to go by, and metrics=none gives none.")
    direction = settings.direction or metrics.get("mode") or "min"
    return Search(wanted, settings.sampler, settings.trials, direction, config.seed, folder, settings.storage)


def job_words(folder: Path, wanted: Space, job: SweepJob) -> list[str]:
    """The command that trains this job, or goes on with it."""
    values = [f"{key}={value}" for key, value in job.values.items()]
    words = [*wanted.fixed, *values, f"seed={job.seed}", f"folder={plainly(str(folder / job.name))}", "resume=true"]
    if with_default_experiment("train", words) != words:
        words.append("experiment=null")
    flags = [word for name, value in sweeps.flags.items() if name == "--config-dir" for word in (name, value)]
    return ["train", *flags, *words]


def announce(runner: Runner, folder: Path) -> None:
    ended = sum(job.state in ENDED for job in runner.state.jobs)
    told = f", {ended} of them done" if ended else ""
    log.info("sweep         %s: %d jobs%s", folder, runner.total, told)


def conclude(runner: Runner, folder: Path, is_new: bool) -> None:
    """Writes and shows the ranking, and says how the jobs ended."""
    jobs = runner.state.jobs
    sweeps.outcomes[:] = [
        (job.name, {"refused": 2, "failed": 1}.get(job.state, 0)) for job in jobs if job.state != "waiting"
    ]
    if is_new and jobs and all(job.state in ("refused", "waiting") for job in jobs):
        remove(folder)
        return
    if runner.given_up:
        log.error("%s", runner.given_up)
    show(runner.state, runner.metric, runner.mode)


def show(known: State, metric: str | None, mode: str | None) -> None:
    """Writes the leaderboard of a sweep and shows it, with what failed and how to go on."""
    folder, jobs = known.folder, known.jobs
    results = {job.number: read(folder / job.name, metric, mode) for job in jobs}
    told = next((result for result in results.values() if result.state), Result())
    keys = [axis.partition("=")[0] for axis in known.definition["axes"]]
    ranked = board.standings(jobs, results, told.mode)
    path = board.write(folder, ranked, keys)
    console = Console(soft_wrap=True)
    console.print(board.table(ranked, keys, told.metric))
    for job in jobs:
        if job.state == "failed":
            log.error("%s failed: %s (%s)", job.name, job.error, folder / "logs" / f"{job.name}.log")
    if any(job.state not in ENDED for job in jobs):
        console.print(f"go on         ganrun sweep resume {shlex.quote(str(folder))}, or the same command again")
    console.print(f"leaderboard   {path}")
    console.print(f"report        {report.write(known, ranked, results, told.metric)}")
    console.print(f"TensorBoard   tensorboard --logdir {folder}")


def remove(folder: Path) -> None:
    """Removes the folder of a sweep of which no job was trained."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    while folder != Path() and folder.is_dir() and not os.listdir(folder):
        folder.rmdir()
        folder = folder.parent

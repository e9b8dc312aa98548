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
from ganrun.sweep import board, report, results, space, state
from ganrun.sweep.pool import Devices, Pool, visible_gpus
from ganrun.sweep.proposals import SAMPLERS, Grid, Proposals, Search
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
    check(settings, config)
    wanted = space.read(words, context.config_loader, settings.seeds, config.seed, settings.space)
    definition = defined(wanted, settings)
    folder = folder_of(settings, words, definition)
    check_scores(composed(context, config, wanted), settings)
    if config.dry_run:
        tell_plan(wanted, settings, folder)
        return
    writable(folder.absolute())
    if settings.fresh:
        move_aside(folder)
    is_new = not folder.exists()
    known = state.load(folder, definition)
    known.command = [*words_again()]
    known.flags = {name: value for name, value in sweeps.flags.items() if name == "--config-dir"}
    proposals = proposed(wanted, config, folder, known)
    pool = pool_of(settings, folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweeps.latest[0] = folder
    kept = [word for word in config.hydra.overrides.hydra if word.lstrip("+").startswith("hydra.searchpath=")]
    with ended_by_signals():
        runner = Runner(
            known,
            proposals,
            pool,
            wanted.seeds,
            lambda job: [*job_words(folder, wanted, job), *kept],
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


def check(settings: DictConfig, config: DictConfig) -> None:
    """Refuses settings of a sweep that do not do."""
    words = {
        "sampler": SAMPLERS,
        "direction": (None, "min", "max"),
        "pruner": (None, "median", "hyperband"),
    }
    for key, allowed in words.items():
        if settings[key] not in allowed:
            names = [str(word or "null") for word in allowed]
            raise UserError(f"sweep.{key}={settings[key]} is not known.{did_you_mean(str(settings[key]), names)}")
    least = {"pruner_startup": 1, "jobs": 1, "jobs_per_gpu": 1, "fail_fast": 1, "retries": 0, "seeds": 1, "trials": 1}
    for key, low in least.items():
        value = settings.get(key, low)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= low
        if not is_count and not (key == "seeds" and value is None):
            raise UserError(f"sweep.{key}={value} does not do: it is a whole number from {low}.")
    for key in ("name", "metric", "sbatch", "storage"):
        if not isinstance(settings.get(key), str | None):
            raise UserError(f"sweep.{key}={settings[key]} does not do: it is a text, or null.")
    if not isinstance(config.seed, int) or isinstance(config.seed, bool):
        raise UserError(f"seed={config.seed} does not do: it is a whole number.")
    for word in sweeps.words:
        if word.lstrip("+").startswith(("hydra.sweep.", "hydra/launcher", "hydra.launcher")):
            raise UserError(
                f"{word} is not heeded by ganrun's sweeps: folder= or sweep.name= says where they lie, sweep.jobs= and "
                "sweep.sbatch= how they are started. With hydra/sweeper=basic, Hydra's own sweeper, it is."
            )
    if settings.metric and not settings.direction and results.mode_of(settings.metric) is None:
        raise UserError(f"Which values of {settings.metric} are better is not known. Give sweep.direction=min or max.")


def composed(context, config: DictConfig, wanted: Space) -> list[DictConfig]:
    """The config of each value, composed once, so that what Hydra would refuse is refused before anything starts."""
    words = {axis.key: axis.values or (repr(axis.low),) for axis in wanted.axes}
    first = {key: values[0] for key, values in words.items()}
    points = [{**first, key: value} for key, values in words.items() for value in values] or [{}]
    found = []
    for values in points:
        own = [f"{key}={value}" for key, value in values.items()]
        found.append(context.config_loader.load_sweep_config(config, [*wanted.fixed, *own]))
        own, ours = found[-1].sweep, config.sweep
        if own.space != ours.space or (own.seeds != ours.seeds and len(wanted.seeds) == 1):
            raise UserError(
                f"{' '.join(f'{key}={value}' for key, value in values.items())} brings settings of a sweep of its own. "
                "Sweep such choices one by one; or give seed=1,2,3 where it is only the seeds."
            )
    return found


def check_scores(configs: Sequence[DictConfig], settings: DictConfig) -> None:
    """Refuses a search, or a pruning, that has no score to go by, or several."""
    kinds = {(m.get("monitor"), m.get("mode")) for c in configs if (m := c.get("metrics") or {}) is not None}
    is_judged = settings.sampler != "grid" or settings.pruner
    what = f"sweep={settings.sampler}" if settings.sampler != "grid" else f"sweep.pruner={settings.pruner}"
    if is_judged and any(monitor is None for monitor, _ in kinds):
        raise UserError(f"{what} needs a score to go by, and metrics=none gives none.")
    if settings.sampler != "grid" and len(kinds) > 1 and not settings.metric:
        names = ", ".join(sorted(str(monitor) for monitor, _ in kinds))
        raise UserError(f"{what} goes by one score, and these points have several: {names}. Give sweep.metric=.")
    settings.direction = settings.direction or (
        results.mode_of(settings.metric) if settings.metric else next(iter(kinds))[1] if len(kinds) == 1 else None
    )


def tell_plan(wanted: Space, settings: DictConfig, folder: Path) -> None:
    """What a sweep would train."""
    points = Grid(wanted).points if settings.sampler == "grid" else []
    for k, values in enumerate(points):
        log.info("point %d  %s", k, " ".join(f"{key}={value}" for key, value in values.items()))
    count = len(points) or settings.trials
    seeds = ", ".join(map(str, wanted.seeds))
    log.info("%d points by %s, each with seed %s, in %s", count, settings.sampler, seeds, folder)
    log.info("dry_run=true: nothing was written. Leave it out to train.")


def words_again() -> list[str]:
    """The settings of the command, in the form that means the same when it is read again."""
    is_plain = with_default_experiment("train", sweeps.words) != sweeps.words
    return [*sweeps.words, *(["experiment=null"] if is_plain else [])]


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


def move_aside(folder: Path) -> None:
    if state.Runners(folder).others():
        raise UserError(f"{folder} is being worked on. Stop that first, or give another sweep.name=.")
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


def proposed(wanted: Space, config: DictConfig, folder: Path, known: State) -> Proposals:
    settings = config.sweep
    if settings.sampler == "grid":
        return Grid(wanted)
    own = (settings.storage, f"ganrun-{known.id}")
    return Search(wanted, settings.sampler, settings.trials, settings.direction or "min", config.seed, folder, *own)


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
    codes = {"refused": 2, **dict.fromkeys(ENDED, 0)}
    sweeps.outcomes[:] = [(job.name, codes.get(job.state, 1)) for job in jobs if job.state != "waiting"]
    if is_new and jobs and all(job.state in ("refused", "waiting") for job in jobs):
        remove(folder)
        return
    if not jobs:
        if is_new:
            remove(folder)
        return
    if runner.given_up:
        log.error("%s", runner.given_up)
    with runner.state.change():
        show(runner.state, runner.metric, runner.mode)


def show(known: State, metric: str | None, mode: str | None) -> None:
    """Writes the leaderboard of a sweep and shows it, with what failed and how to go on."""
    folder, jobs = known.folder, known.jobs
    found = {job.number: results.read(folder / job.name, metric, mode) for job in jobs}
    keys = [axis.partition("=")[0] for axis in known.definition["axes"]]
    groups = board.alike(jobs, found)
    console = Console(soft_wrap=True)
    if len(groups) > 1:
        console.print(board.why_apart(groups, found), highlight=False, markup=False)
    rankings, pages = [], []
    for number, own in enumerate(groups):
        told = next((result for job in own if (result := found[job.number]).state), results.Result())
        rankings.append(board.standings(own, found, told.mode))
        console.print(board.table(rankings[-1], keys, told.metric))
        part = State(folder, known.definition, own, known.command)
        name = report.NAME if not number else f"report-{number + 1}.html"
        pages.append(report.write(part, rankings[-1], found, told.metric, name=name))
    trained = [result for result in found.values() if result.state]
    if metric and trained and not any(result.history for result in trained):
        log.error("No run has a score %s: nothing could be ranked by sweep.metric.", metric)
    path = board.write(folder, rankings, keys)
    for job in jobs:
        if job.state == "failed":
            log.error("%s failed: %s (%s)", job.name, job.error, folder / "logs" / f"{job.name}.log")
    if any(job.state not in ENDED for job in jobs):
        log.info("go on         ganrun sweep resume %s, or the same command again", shlex.quote(str(folder)))
    console.print(f"leaderboard   {path}", markup=False)
    for page in pages:
        console.print(f"report        {page}", markup=False)
    console.print(f"TensorBoard   tensorboard --logdir {folder}", markup=False)


def remove(folder: Path) -> None:
    """Removes the folder of a sweep of which no job was trained."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    while folder != Path() and folder.is_dir() and not os.listdir(folder):
        folder.rmdir()
        folder = folder.parent

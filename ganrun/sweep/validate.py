"""Checks of a sweep's settings, before anything is written."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import compress

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from ganrun.config import renames, schema, user_modules
from ganrun.errors import UserError
from ganrun.sweep.executors import slurm
from ganrun.sweep.executors.fork_server import HAS_FORK
from ganrun.sweep.executors.gpus import visible_gpus
from ganrun.sweep.report.results import score_mode
from ganrun.sweep.search.space import NUMBER, SearchSpace
from ganrun.terminal import progress_bar, working

log = logging.getLogger(__name__)
FEW_POINTS = 8  # checked in two seconds, without a progress bar
MAX_NUMBERS = 20  # numbers of an axis that are composed


def check_settings(config: DictConfig, overrides: Sequence[str]) -> None:
    """Raise UserError for wrong settings of the sweep, and of what its jobs share. overrides: of the command."""
    schema.check_values(config)
    settings, launcher = config.sweep, chosen_launcher(config)
    for override in overrides:
        if override.lstrip("+").startswith("hydra.sweep."):
            raise UserError(
                f"{override} has no effect on ganrun's sweeper. Set the folder with folder= or sweep.name=, or use "
                "Hydra's own sweeper: hydra/sweeper=basic."
            )
    if launcher and settings.sbatch is not None:
        raise UserError(f"hydra/launcher={launcher} and sweep.sbatch both start the jobs. Give only one of them.")
    if launcher and settings.jobs in (None, 1) and settings.sampler == "grid":
        raise UserError(
            f"hydra/launcher={launcher} gets sweep.jobs jobs at a time; sweep.jobs={settings.jobs or 'null'} is one. "
            "Give the number of jobs: sweep.jobs=8."
        )
    if settings.metric and not settings.direction and score_mode(settings.metric) is None:
        raise UserError(
            f"sweep.metric={settings.metric}: whether lower or higher values are better is unknown. Give "
            "sweep.direction=min or sweep.direction=max."
        )
    if launcher or settings.sbatch is not None:
        check_local_settings(settings, "hydra/launcher" if launcher else "sweep.sbatch")
    if settings.sbatch is not None:
        slurm.parse_options(settings.sbatch)
    if settings.start == "fork" and not HAS_FORK:
        raise UserError("sweep.start=fork works on Linux only. Leave it out.")


def check_local_settings(settings: DictConfig, executor: str) -> None:
    """Raise UserError for settings of jobs on this machine. executor: the setting that starts them elsewhere."""
    if settings.jobs_per_gpu != 1:
        raise UserError(
            f"sweep.jobs_per_gpu={settings.jobs_per_gpu} applies only to jobs on this machine. The GPUs of these jobs "
            f"are set by {executor}; remove sweep.jobs_per_gpu."
        )
    if settings.start is not None:
        raise UserError(
            f"sweep.start={settings.start} applies only to jobs on this machine. These are started by {executor}; "
            "remove sweep.start."
        )


def chosen_launcher(config: DictConfig) -> str | None:
    """Return the name of the Hydra launcher that starts the jobs, or None if it is Hydra's default."""
    choice = config.hydra.runtime.choices["hydra/launcher"]
    return None if choice == "basic" else choice


def covering_points(space: SearchSpace) -> list[dict[str, str]]:
    """Return points in which each value of each axis occurs at least once; of many numbers, only some.

    Composes their configs, which raises Hydra's errors before any job starts. Raises UserError if a value changes the
    sweep itself.
    """
    points: list[dict[str, str]] = [{}]
    for axis in space.axes:
        values = thin_out(axis.values) or (repr(axis.low), repr(axis.high))
        varying = [space.varies(axis, point) for point in points]
        more = [{**point, axis.key: value} for point in list(compress(points, varying))[:1] for value in values[1:]]
        points = [{**p, axis.key: values[0]} if varies else p for p, varies in zip(points, varying, strict=True)] + more
    sweep = space.configs.config({}).sweep
    for point in points:
        other = space.configs.config(point).sweep
        if (other.space, other.only, other.seeds) != (sweep.space, sweep.only, sweep.seeds):
            raise UserError(
                f"{' '.join(f'{key}={value}' for key, value in point.items())} changes the search space of the sweep. "
                "Start a sweep for each such choice."
            )
    for axis in space.axes:
        for key in axis.condition.keys if axis.condition else ():
            if not any(space.configs.has(key, point) for point in points):
                raise UserError(f"sweep.only: the condition of {axis.key} names {key}, and there is no such setting.")
    return points


def check_sources(configs: Sequence[DictConfig]) -> None:
    """Raise UserError for init_from=last."""
    if any(config.get("init_from") == "last" for config in configs):
        from ganrun.training.initial_weights import last_run  # imports torch

        last_run(is_sweep=True)


def thin_out(values: Sequence[str]) -> list[str]:
    """Return the values without most of the numbers if there are more than MAX_NUMBERS: they differ in nothing else."""
    numbers = [value for value in values if NUMBER.fullmatch(value)]
    kept = {*numbers[:: max(1, len(numbers) // MAX_NUMBERS)], *numbers[-1:]}
    return [value for value in values if value in kept or not NUMBER.fullmatch(value)]


def check_listed_values(space: SearchSpace) -> None:
    """Raise UserError for a value that its setting may never have."""
    parser = OverridesParser.create()
    for axis in space.axes:
        if re.fullmatch(r"[\w.]+", axis.key) and not space.configs.is_group(axis.key):
            for text in axis.values:
                value = parser.parse_override(f"{axis.key}={text}").value()
                if isinstance(value, int | float):  # others may be interpolations, or become nodes
                    schema.check_value(axis.key, value)


def check_points(space: SearchSpace, points: Sequence[dict[str, str]], settings: DictConfig) -> None:
    """Raise UserError for the values with which all of their points are refused; warn of other points that are.

    A point is checked as its own run would be, and has scores if the sweep with these settings needs them. Reads names
    of data, and downloads nothing.
    """
    is_long = len(points) > FEW_POINTS
    with nullcontext() if is_long else working("sweep: checking the points ..."):
        shown = progress_bar(points, f"checking {len(points)} points") if is_long else points
        found = ((i, find_refusal(space.configs.config(point), settings)) for i, point in enumerate(shown))
        reasons = {i: reason for i, reason in found if reason}
    refused: dict[str, str] = {}  # the reasons, with the first value of each
    for key, value in [(axis.key, value) for axis in space.axes for value in axis.values]:
        chosen = [i for i, point in enumerate(points) if point.get(key) == value]
        if chosen and all(i in reasons for i in chosen):
            refused.setdefault(reasons[chosen[0]], f"{key}={value}")
    if refused:
        every = " ".join(f"{value} is refused: {reason}" for reason, value in refused.items())
        raise UserError(f"Nothing was started, as {every}")
    if reasons and len(reasons) == len(points):
        raise UserError(f"Nothing was started: {reasons[0]}")
    for i, reason in reasons.items():
        values = " ".join(f"{key}={value}" for key, value in points[i].items())
        log.warning("the point %s will be refused: %s", values, reason)


def find_refusal(config: DictConfig, settings: DictConfig) -> str:
    """Return why a run of this config would be refused, "" if it would not: what it raises as UserError.

    settings: of the sweep, which may need scores that the run does not have.
    """
    from ganrun.config.build import instantiate_optional
    from ganrun.config.experiment import build_data_and_model, build_experiment
    from ganrun.config.unused import check_added_settings
    from ganrun.training.initial_weights import check_source
    from ganrun.training.session import check_experiment, silence_libraries

    silence_libraries()
    try:
        with as_in_its_run(config) as own:
            plan = own.copy()
            if visible_gpus():  # which jobs share: this process must not use one, and does not know which a job gets
                data, model = build_data_and_model(own)
            else:
                experiment = build_experiment(own)
                check_experiment(experiment)
                data, model = experiment.data, experiment.model
            suite = instantiate_optional(own.metrics) if needs_score(settings) else None
            if suite is not None and (reason := suite.explain_no_scores(model, data)):
                return f"{describe_user(settings)} needs a score. {reason}"
            check_added_settings(plan, [player.name for player in model.players()])
            data.check_files()
            check_source(own, model)
    except UserError as error:
        return str(error)
    except Exception:  # the run itself tells
        return ""
    return ""


@contextmanager
def as_in_its_run(config: DictConfig) -> Iterator[DictConfig]:
    """Yield a point's config as the command of its run has it; within the block it is Hydra's config of the process."""
    config = config.copy()
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        with open_dict(config):
            del config["hydra"], config["sweep"]
        renames.update_config(config)
        user_modules.allow_modules(user_modules.modules_in_config(config), HydraConfig.get().runtime.cwd)
        yield config
    finally:
        HydraConfig.instance().cfg = before


def score_direction(configs: Sequence[DictConfig], settings: DictConfig) -> str | None:
    """Return "min" or "max", whichever scores of the points are better; None if it differs between points.

    Raises UserError for a search or a pruner without a score, and for a search with several.
    """
    metrics = [config.get("metrics") or {} for config in configs]
    scores = {(metric.get("monitor"), metric.get("mode")) for metric in metrics}
    is_search, user = settings.sampler != "grid", describe_user(settings)
    if needs_score(settings) and any(monitor is None for monitor, _ in scores):
        raise UserError(f"{user} needs a score, and metrics=none computes none. Choose other metrics.")
    if is_search and len(scores) > 1 and not settings.metric:
        names = ", ".join(sorted(str(monitor) for monitor, _ in scores))
        raise UserError(f"{user} needs a single score, and these points have several: {names}. Give sweep.metric=.")
    if settings.direction or settings.metric:
        return settings.direction or score_mode(settings.metric)
    return next(iter(scores))[1] if len(scores) == 1 else None


def gpus_per_job(configs: Sequence[DictConfig], jobs: int, available: int) -> int:
    """Return how many GPUs each job gets; 0 if none is assigned and a job sees all of them.

    Raises UserError if there are too few, or if jobs that run side by side name their GPUs.
    """
    most = 0
    for trainer in (config.trainer for config in configs):
        devices = trainer.devices
        schema.check_value("trainer.devices", devices)
        if trainer.accelerator == "cpu":
            continue
        if OmegaConf.is_list(devices):
            if jobs > 1 and available:
                raise UserError(
                    f"trainer.devices={devices} names GPUs, but ganrun assigns GPUs to jobs that run side by side. "
                    f"Give their number: trainer.devices={len(devices)}."
                )
            return 0
        every = available if jobs == 1 else 1
        most = max(most, every if devices in ("auto", -1) else devices)
    if available and most > available:
        raise UserError(
            f"trainer.devices={most} asks for more GPUs than there are ({available}). Set trainer.devices={available}."
        )
    return most


def needs_score(settings: DictConfig) -> bool:
    """Return whether a sweep with these settings decides by scores while it runs."""
    return settings.sampler != "grid" or bool(settings.pruner)


def describe_user(settings: DictConfig) -> str:
    """Return the setting of a sweep that uses the scores."""
    return f"sweep={settings.sampler}" if settings.sampler != "grid" else f"sweep.pruner={settings.pruner}"

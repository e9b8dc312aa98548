"""What of a sweep is refused before anything is written."""

from collections.abc import Sequence
from itertools import compress

from omegaconf import DictConfig, OmegaConf

from ganrun.config import schema
from ganrun.errors import UserError
from ganrun.sweep.report import results
from ganrun.sweep.search.space import SearchSpace


def check_settings(config: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses settings that do not do, of the sweep and of what its jobs have in common."""
    schema.check_values(config)
    given = config.sweep
    for word in overrides:
        if word.lstrip("+").startswith("hydra.sweep."):
            raise UserError(
                f"{word} is not heeded by ganrun's sweeps: folder= or sweep.name= says where they lie. With "
                "hydra/sweeper=basic, Hydra's own sweeper, it is."
            )
    if chosen_launcher(config) and given.sbatch is not None:
        raise UserError(
            f"hydra/launcher={chosen_launcher(config)} and sweep.sbatch both start the jobs: give one of them."
        )
    if chosen_launcher(config) and given.jobs == 1 and given.sampler == "grid":
        raise UserError(
            f"hydra/launcher={chosen_launcher(config)} gets sweep.jobs jobs at a time, and sweep.jobs is 1. Set it: "
            "sweep.jobs=8."
        )
    if given.metric and not given.direction and results.score_mode(given.metric) is None:
        raise UserError(f"Which values of {given.metric} are better is not known. Give sweep.direction=min or max.")
    if given.jobs_per_gpu != 1 and (chosen_launcher(config) or given.sbatch is not None):
        raise UserError(
            f"sweep.jobs_per_gpu={given.jobs_per_gpu} is for jobs that are started here. Others get the GPUs that "
            f"{'hydra/launcher' if chosen_launcher(config) else 'sweep.sbatch'} asks for. Leave it out."
        )


def chosen_launcher(config: DictConfig) -> str | None:
    """Hydra's launcher that is to start the jobs; None: ganrun starts them itself."""
    chosen = config.hydra.runtime.choices["hydra/launcher"]
    return None if chosen == "basic" else chosen


def compose_values(config: DictConfig, wanted: SearchSpace) -> list[DictConfig]:
    """The config of each value, composed once, so that what Hydra would refuse is refused before anything starts."""
    points: list[dict[str, str]] = [{}]
    for axis in wanted.axes:
        words = axis.values or (repr(axis.low), repr(axis.high))
        varying = [wanted.varies(axis, point) for point in points]
        more = [{**point, axis.key: word} for point in list(compress(points, varying))[:1] for word in words[1:]]
        points = [{**p, axis.key: words[0]} if varies else p for p, varies in zip(points, varying, strict=True)] + more
    ours = wanted.composed.config({}).sweep
    for values in points:
        own = wanted.composed.config(values).sweep
        if (own.space, own.only, own.seeds) != (ours.space, ours.only, ours.seeds):
            raise UserError(
                f"{' '.join(f'{key}={value}' for key, value in values.items())} brings settings of a sweep of its own. "
                "Sweep such choices one by one."
            )
    for axis in wanted.axes:
        for key in axis.only.keys if axis.only else ():
            if not any(wanted.composed.has(key, values) for values in points):
                raise UserError(f"sweep.only: there is no setting {key} for {axis.key} to go by.")
    return [wanted.composed.config(values) for values in points]


def score_direction(configs: Sequence[DictConfig], settings: DictConfig) -> str | None:
    """min or max, whichever values of the points' score are better; None where points have scores of both kinds.

    Refuses a search, or a pruning, that has no score to go by, or several.
    """
    metrics = [config.get("metrics") or {} for config in configs]
    kinds = {(own.get("monitor"), own.get("mode")) for own in metrics}
    is_judged = settings.sampler != "grid" or settings.pruner
    what = f"sweep={settings.sampler}" if settings.sampler != "grid" else f"sweep.pruner={settings.pruner}"
    if is_judged and any(monitor is None for monitor, _ in kinds):
        raise UserError(f"{what} needs a score to go by, and metrics=none gives none.")
    if settings.sampler != "grid" and len(kinds) > 1 and not settings.metric:
        names = ", ".join(sorted(str(monitor) for monitor, _ in kinds))
        raise UserError(f"{what} goes by one score, and these points have several: {names}. Give sweep.metric=.")
    if settings.direction or settings.metric:
        return settings.direction or results.score_mode(settings.metric)
    return next(iter(kinds))[1] if len(kinds) == 1 else None


def gpus_per_job(configs: Sequence[DictConfig], jobs: int, there: int) -> int:
    """How many of the GPUs that are there each job is lent; 0 where it is lent none, and sees all.

    Raises UserError where they are too few, or named where they are to be lent.
    """
    most = 0
    for trainer in (config.trainer for config in configs):
        devices = schema.validated_devices(trainer)
        if trainer.accelerator == "cpu":
            continue
        if OmegaConf.is_list(devices):
            if jobs > 1 and there:
                raise UserError(
                    f"trainer.devices={devices} names GPUs, and jobs side by side are lent theirs. Give a number: "
                    f"trainer.devices={len(devices)}."
                )
            return 0
        every = there if jobs == 1 else 1
        most = max(most, every if devices in ("auto", -1) else devices)
    if there and most > there:
        raise UserError(f"trainer.devices asks for {most} GPUs, and there are {there}. Give trainer.devices={there}.")
    return most

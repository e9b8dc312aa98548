"""ganrun train -m dry_run=true: prints what a sweep would train, and for how long."""

import logging
from math import ceil

from omegaconf import DictConfig

from ganrun.errors import UserError
from ganrun.sweep.executors.gpus import visible_gpus
from ganrun.sweep.plan import SweepPlan
from ganrun.sweep.search.strategy import GridSearch
from ganrun.sweep.validate import as_in_its_run
from ganrun.terminal import format_duration, working

log = logging.getLogger(__name__)


def log_plan(plan: SweepPlan, settings: DictConfig) -> int:
    """Log points, seeds and folder of a sweep. Return the number of its jobs."""
    listed = GridSearch(plan.space).points if settings.sampler == "grid" else []
    for number, values in enumerate(listed):
        log.info("point %d  %s", number, " ".join(f"{key}={value}" for key, value in values.items()))
    count = len(listed) or settings.trials
    seeds = ", ".join(map(str, plan.space.seeds))
    points = f"{count} point{'s' * (count != 1)}"
    log.info("%s by %s, each with seed %s, in %s", points, settings.sampler, seeds, plan.folder)
    return count * len(plan.space.seeds)


def log_time(first: DictConfig, jobs: int, at_once: int, threads: int) -> None:
    """Log how long the jobs of a sweep take, from a few seconds of one of them.

    first: the config of a point.   at_once: jobs that train at the same time.   threads: of each, 0 for its choice.
    """
    if (seconds := measure_job(first, threads)) is not None:
        total, each = (format_duration(length) for length in (ceil(jobs / at_once) * seconds, seconds))
        count = f"{jobs} jobs, {at_once} at a time" if jobs > 1 else "1 job"
        log.info(
            "time: about %s for %s, if all take as long as the first: %s by itself, without scoring", total, count, each
        )


def measure_job(config: DictConfig, threads: int) -> float | None:
    """Return the seconds of a training of this config, from some seconds of it on made-up examples.

    None, with the reason in the log, for what cannot be tried; None where jobs have GPUs, which are not its own.
    """
    if visible_gpus():
        return None
    with working("training for some seconds on made-up examples ..."):
        import torch

        from ganrun.config.experiment import build_experiment
        from ganrun.training.dry_run import training_seconds
        from ganrun.training.rehearsal import NotMeasuredError, rehearse

        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            with as_in_its_run(config) as own:
                rehearsal = rehearse(build_experiment(own))
                return training_seconds(own, rehearsal.images_per_second) if rehearsal else None
        except (NotMeasuredError, UserError) as error:
            log.info("time: not measured: %s", error)
            return None
        finally:
            torch.set_num_threads(before)

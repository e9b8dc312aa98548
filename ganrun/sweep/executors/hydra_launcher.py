"""Sweep jobs by one of Hydra's launchers, such as joblib's or submitit's, batch by batch."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ganrun.config.overrides import quote_override
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor, ExecutorJob, FinishedJob
from ganrun.training import lock

log = logging.getLogger(__name__)


@dataclass
class TrainTask:
    """The function that a launcher calls, on whichever machine: it runs the job whose run folder the config names."""

    env: Mapping[str, str]
    jobs: dict[str, ExecutorJob] = field(default_factory=dict)  # the batch that the launcher has, by run folder

    def __call__(self, config: DictConfig) -> int:
        return self.jobs[config.folder].start(self.env).wait()


class HydraExecutor(Executor):
    """Hands `size` jobs at a time to Hydra's launcher, which decides how many of them run side by side."""

    def __init__(self, size: int, env: Mapping[str, str], context: HydraContext, config: DictConfig, folder: Path):
        super().__init__(size, env)
        self.jobs: dict[int, ExecutorJob] = {}
        self.task = TrainTask(self.env)
        config = config.copy()
        with open_dict(config):
            config.hydra.sweep.dir = str(folder)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=self.task, config=config
        )

    def submit(self, number: int, args: Sequence[str], log: Path) -> bool:
        self.jobs[number] = ExecutorJob(args, log)
        return True

    def poll(self) -> dict[int, FinishedJob]:
        """Hand all submitted jobs to the launcher, and return them when it has run them all."""
        if not self.jobs:
            return {}
        self.task.jobs = {str(job.log.parent.parent / job.log.stem): job for job in self.jobs.values()}
        overrides = [[f"folder={quote_override(folder)}"] for folder in self.task.jobs]
        log.info("launched      %d jobs by %s", len(overrides), type(self.launcher).__name__)
        returned = self.launcher.launch(overrides, initial_job_idx=min(self.jobs))
        jobs, self.jobs, self.task.jobs = self.jobs, {}, {}
        finished = {}
        for (number, job), result in zip(jobs.items(), returned, strict=True):
            try:
                finished[number] = job.finish(result.return_value)
            except Exception as error:  # of the launcher, or of the machine that it used
                finished[number] = FinishedJob(1, f"{type(error).__name__}: {error}")
        return finished

    def stop(self) -> dict[int, FinishedJob]:
        """Return what the launcher had when it was interrupted; drop jobs that it did not have."""
        finished = {number: job.finish(143) for number, job in self.jobs.items()} if self.task.jobs else {}
        self.jobs = {}
        return finished

    def prepare_to_stop(self) -> None:
        """Ask the launched jobs to save and end, and wait for them: an interrupted launcher kills its processes."""
        asked = [folder for folder in map(Path, self.task.jobs) if lock.terminate_owner(folder)]
        deadline = time.monotonic() + GRACE_SECONDS
        while any(map(lock.is_locked, asked)) and time.monotonic() < deadline:
            time.sleep(0.1)

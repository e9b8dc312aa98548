"""Jobs of a sweep by one of Hydra's launchers, such as joblib's or submitit's, batch by batch."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from ganrun.config.overrides import quote_override
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor, JobCommand
from ganrun.training import lock

log = logging.getLogger(__name__)


@dataclass
class TrainTask:
    """What a launcher runs, wherever it does: `ganrun` with the words of the job whose folder the config names.

    settings: of its environment.
    """

    settings: Mapping[str, str]
    tasks: dict[str, JobCommand] = field(default_factory=dict)  # by the folders of their runs

    def __call__(self, config: DictConfig) -> int:
        return self.tasks[config.folder].started(self.settings).wait()


@dataclass
class LaunchedJob:
    """A job that a launcher has returned."""

    code: int
    task: JobCommand
    error: str = ""  # of the launcher itself

    def last_words(self) -> str:
        return self.error or self.task.last_words()


class HydraExecutor(Executor):
    """A pool that hands `size` jobs at a time to Hydra's launcher, which decides how many of them run side by side.

    settings: of the jobs' environment.
    """

    def __init__(self, context: HydraContext, config: DictConfig, size: int, folder: Path, settings: Mapping[str, str]):
        self.size, self.train = size, TrainTask(settings)
        self.running: dict[int, JobCommand] = {}
        self.launching: list[Path] = []  # the folders of the runs that the launcher has now
        config = config.copy()
        with open_dict(config):
            config.hydra.sweep.dir = str(folder)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=self.train, config=config
        )

    def start(self, number: int, words: Sequence[str], log: Path) -> bool:
        """Notes `ganrun` with these words as job `number`; the next call of `ended` hands over all that were noted."""
        self.running[number] = JobCommand.noted(words, log)
        return True

    def ended(self) -> dict[int, LaunchedJob]:
        """The jobs that were noted, after the launcher has run them all."""
        if not self.running:
            return {}
        folders = {number: task.log.parent.parent / task.log.stem for number, task in self.running.items()}
        self.train.tasks = {str(folders[number]): task for number, task in self.running.items()}
        own = [[f"folder={quote_override(str(folder))}"] for folder in folders.values()]
        log.info("handed over   %d jobs to %s", len(own), type(self.launcher).__name__)
        self.launching = [*folders.values()]
        returned = self.launcher.launch(own, initial_job_idx=min(folders))
        self.launching = []
        over = {
            number: finished_job(task, found)
            for (number, task), found in zip(self.running.items(), returned, strict=True)
        }
        self.running = {}
        return over

    def warned(self) -> None:
        """Has what was handed over save and end, for a while: a launcher kills what its processes have started."""
        asked = [folder for folder in self.launching if lock.terminate_owner(folder)]
        latest = time.monotonic() + GRACE_SECONDS
        while any(map(lock.is_locked, asked)) and time.monotonic() < latest:
            time.sleep(0.1)

    def stop(self) -> dict[int, LaunchedJob]:
        """What the launcher had when it was interrupted. What was not handed over is forgotten."""
        over = {number: LaunchedJob(143, task) for number, task in self.running.items()} if self.launching else {}
        self.running = {}
        return over


def finished_job(task: JobCommand, found: JobReturn) -> LaunchedJob:
    try:
        return LaunchedJob(found.return_value, task)
    except Exception as error:  # of the launcher, or of whoever lent it a machine
        return LaunchedJob(1, task, f"{type(error).__name__}: {error}")

"""The course of a sweep: which job starts when, and what is recorded when it ends."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import mean

from ganrun.sweep import naming
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor, FinishedJob
from ganrun.sweep.job_state import JobState, resolve_state
from ganrun.sweep.report.live_table import LiveTable
from ganrun.sweep.report.results import RunResult, load_result
from ganrun.sweep.search.study import SearchStrategy, StudyUnreachable
from ganrun.sweep.state import RunnerRegistry, SweepJob, SweepState
from ganrun.terminal import format_duration
from ganrun.training import lock

log = logging.getLogger(__name__)
POLL_SECONDS = 0.2  # at most, between two calls of Executor.poll
IDLE_SECONDS = 1.0  # between two looks at sweep.json while only other processes have jobs


@dataclass
class Runner:
    """Trains what is left of a sweep."""

    state: SweepState
    strategy: SearchStrategy
    executor: Executor
    seeds: Sequence[int]  # every point is trained with each
    job_args: Callable[[SweepJob], list[str]]  # the arguments of `ganrun` that train a job or continue it
    metric: str | None = None  # the score that ranks the points; None: the one that each run monitors
    mode: str | None = None  # min or max, whichever is better; None: that of each run
    retries: int = 0  # how often a failed job is started again
    fail_fast: int = 3  # give up if so many jobs have all failed

    def __post_init__(self):
        self.registry = RunnerRegistry(self.state.folder)
        self.start_times: dict[int, float] = {}
        self.durations: list[float] = []  # seconds taken by each job that finished in this start
        self.best: tuple[RunResult, str] | None = None  # the best result and the name of its job
        self.unreported: set[int] = set()  # points whose score the strategy may not know
        self.is_disconnected = False  # no connection to the study's database
        self.abort_reason = ""

    @property
    def total(self) -> int:
        """The number of jobs of the whole sweep."""
        return self.strategy.total * len(self.seeds)

    def run(self) -> None:
        """Run until all jobs are over, those of other processes too. If interrupted, let the running ones save."""
        with closing(LiveTable(self)) as table:
            self._join()
            table.update(is_due=True)  # to start a job may take seconds
            try:
                while self._start_jobs() or self.executor.jobs or self._others_run() or self._has_work():
                    if self.executor.jobs:
                        self.executor.wait(POLL_SECONDS)
                    else:
                        time.sleep(IDLE_SECONDS)
                    finished = self.executor.poll()
                    for number, job in finished.items():
                        self._record_end(number, job)
                    self._report_points()
                    table.update(is_due=bool(finished))
                self._report_remaining_points()
            finally:
                self._stop()

    def result(self, job: SweepJob) -> RunResult:
        return load_result(self.state.folder / job.name, self.metric, self.mode)

    def time_left(self) -> str:
        """Return an estimate from the jobs so far, as text; "" if there is none."""
        remaining = self.total - sum(job.state.is_over for job in self.state.jobs)
        if not self.durations or not remaining:
            return ""
        return f", {format_duration(remaining * mean(self.durations) / self.executor.size)} left"

    def _join(self) -> None:
        """Register this process; take over the jobs of dead ones, and if it is alone all that are unfinished."""
        with self.state.change():
            self.registry.join()
            others = self.registry.others()
            for job in self.state.jobs:
                is_orphan = job.state == JobState.RUNNING and job.runner not in others
                if is_orphan or (not others and not job.state.is_finished):
                    job.state, job.attempts = resolve_state(self.result(job).state), 0
            if self.strategy.is_known:
                known = self.state.points
                while job := self._add_point(known):
                    known.add(job.point)
            self.unreported = self.state.points
            self._report_points()
        for job in self.state.jobs:
            self._update_best(job)

    def _stop(self) -> None:
        try:
            for number, finished in self.executor.stop().items():
                self._record_end(number, finished, is_stopped=True)
        finally:  # a second signal may have interrupted this
            for number, finished in self.executor.poll().items():
                self._record_end(number, finished, is_stopped=True)
            with self.state.change():
                for job in self.state.jobs:  # submitted, but not started by the executor
                    if job.state == JobState.RUNNING and job.runner == self.registry.name:
                        job.state = JobState.WAITING
            self.registry.leave()

    def _start_jobs(self) -> bool:
        """Start jobs while the executor has room. Return True if the executor refused one."""
        while self._has_work() and self.executor.has_room():
            with self.state.change():
                job = self._next_job()
                if job is None:
                    self.executor.release()
                    return False
                job.state, job.runner = JobState.RUNNING, self.registry.name
            path = self.state.folder / "logs" / f"{job.name}.log"
            if not self.executor.submit(job.number, self.job_args(job), path):
                with self.state.change():
                    self.state.jobs[job.number].state = JobState.WAITING
                return True
            self.start_times[job.number] = time.monotonic()
        return False

    def _has_work(self) -> bool:
        """Whether a job is waiting or a point is still to be proposed."""
        is_waiting = any(job.state == JobState.WAITING for job in self.state.jobs)
        return not self.abort_reason and (is_waiting or len(self.state.points) < self.strategy.total)

    def _others_run(self) -> bool:
        """Return whether other processes had running jobs; take over the jobs of those that died."""
        with self.state.change():
            others = self.registry.others()
            running = [job for job in self.state.jobs if job.state == JobState.RUNNING]
            for job in running:
                if job.runner not in others:
                    job.state = resolve_state(self.result(job).state)
                    self.unreported.add(job.point)
        return bool(running)

    def _next_job(self) -> SweepJob | None:
        """Return the next job to start, of a new point if none waits."""
        if self.abort_reason:
            return None
        pruned = {job.point for job in self.state.jobs if job.state == JobState.PRUNED}
        for job in self.state.jobs:
            if job.state == JobState.WAITING and job.point in pruned:
                job.state, job.error = JobState.PRUNED, "not started: another seed of this point was pruned"
                self.unreported.add(job.point)
        for job in self.state.jobs:
            # A job of a killed sweep may still be saving: it holds the lock of its run folder until then
            if job.state != JobState.WAITING or lock.is_locked(self.state.folder / job.name):
                continue
            job.state = resolve_state(self.result(job).state)
            if not job.state.is_finished:
                return job
            self.unreported.add(job.point)
        return self._add_point()

    def _record_end(self, number: int, finished: FinishedJob, is_stopped: bool = False) -> None:
        seconds = time.monotonic() - self.start_times[number]
        with self.state.change():
            job = self.state.jobs[number]
            result = self.result(job)
            job.state = resolve_state(result.state, finished.exit_code, is_stopped)
            is_killed = finished.exit_code < 0
            message = f"killed by signal {-finished.exit_code}" if is_killed else finished.message
            job.error = message if job.state.has_failed else ""
            job.attempts += job.state.has_failed
            if job.state == JobState.FAILED and job.attempts <= self.retries:
                log.info("%s failed (%s); starting it again", job.name, job.error)
                job.state = JobState.WAITING
            self.unreported.add(job.point)
        if job.state.is_finished:
            self.durations.append(seconds)
            self._update_best(job)
        self._log_end(job, result, seconds)
        over = [other.state for other in self.state.jobs if other.state.is_over]
        if self.fail_fast <= len(over) < self.total and all(state.has_failed for state in over):
            self.abort_reason = f"The first {len(over)} jobs all failed; no more jobs are started."

    def _update_best(self, job: SweepJob) -> None:
        result = self.result(job) if job.state.is_finished else RunResult()
        if math.isfinite(result.score) and (not self.best or result.cost < self.best[0].cost):
            self.best = result, job.name

    def _log_end(self, job: SweepJob, result: RunResult, seconds: float) -> None:
        line = f"job {job.name}: {job.state}, {format_duration(seconds)}"
        if math.isfinite(result.score):
            line += f", {result.metric} {result.score:.4g}"
        elif job.state == JobState.DONE and result.metric:
            line += f", no finite {result.metric}"
        if job.state.has_failed:
            line += f": {job.error}"
        over = sum(other.state.is_over for other in self.state.jobs)
        log.info("%s (%d of %d%s)", line, over, self.total, self.time_left())

    def _add_point(self, known: set[int] | None = None) -> SweepJob | None:
        """Add the jobs of one more point, and return the first of them; None if there is no point now.

        known: the points that have jobs, if the caller has them.
        """
        self._report_points()
        try:
            proposal = self.strategy.propose(self.state.points if known is None else known)
        except StudyUnreachable as error:
            self._log_disconnect(error)
            return None
        self.is_disconnected = False
        if proposal is None:
            return None
        (point, values), first = proposal, len(self.state.jobs)
        short = {key: naming.format_value(value) for key, value in values.items()}
        for number, seed in enumerate(self.seeds, first):
            named = {**short, "seed": str(seed)} if len(self.seeds) > 1 or not values else short
            self.state.jobs.append(SweepJob(number, point, values, seed, naming.format_job_name(number, named)))
        return self.state.jobs[first]

    def _report_points(self) -> None:
        """Report to the strategy the mean score of each point whose jobs have all finished."""
        jobs_of: dict[int, list[SweepJob]] = {point: [] for point in sorted(self.unreported)}
        for job in self.state.jobs if jobs_of else ():
            if job.point in jobs_of:
                jobs_of[job.point].append(job)
        for point, jobs in jobs_of.items():
            if all(job.state.is_finished for job in jobs):
                scores = [score for job in jobs if math.isfinite(score := self.result(job).score)]
                try:
                    self.strategy.report(point, mean(scores) if scores else math.nan)
                except StudyUnreachable as error:  # try again later, or in the next start
                    self._log_disconnect(error)
                    return
            self.unreported.discard(point)

    def _report_remaining_points(self) -> None:
        """Retry for GRACE_SECONDS to report points while the study's database cannot be reached."""
        deadline = time.monotonic() + GRACE_SECONDS
        while self.unreported and time.monotonic() < deadline:
            time.sleep(IDLE_SECONDS)
            self._report_points()
        if self.unreported:
            log.warning("%d points could not be added to the study. Run the command again.", len(self.unreported))

    def _log_disconnect(self, error: StudyUnreachable) -> None:
        if not self.is_disconnected:
            log.warning("%s. Trying again.", error)
        self.is_disconnected = True

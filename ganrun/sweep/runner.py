"""The course of a sweep: which job starts when, what is noted when it ends."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from statistics import mean

from ganrun.sweep import naming
from ganrun.sweep.executors.base import GRACE_SECONDS, Executor
from ganrun.sweep.executors.local import LocalJob
from ganrun.sweep.report import results
from ganrun.sweep.report.live_table import LiveTable
from ganrun.sweep.search.study import SearchStrategy, StudyUnreachable
from ganrun.sweep.state import FINISHED, RunnerRegistry, SweepJob, SweepState
from ganrun.terminal import format_duration
from ganrun.training import lock

log = logging.getLogger(__name__)
POLL_SECONDS, IDLE_SECONDS = 0.2, 1.0  # seconds between two looks at the processes; at those of others
CLOSED = (*FINISHED, "failed", "refused")  # states of jobs of which nothing more comes in this start
REFUSED = 2  # exit code of a command that cannot work


class Runner:
    """Trains what is left of a sweep.

    words: job -> the words that train it or go on with it.  seeds: of every point.
    metric, mode: by which points are told apart, None: as each run's metrics say.
    """

    def __init__(
        self,
        state: SweepState,
        proposals: SearchStrategy,
        pool: Executor,
        seeds: Sequence[int],
        words: Callable[[SweepJob], list[str]],
        metric: str | None = None,
        mode: str | None = None,
        retries: int = 0,
        fail_fast: int = 3,
    ):
        self.state, self.proposals, self.pool, self.seeds, self.words = state, proposals, pool, seeds, words
        self.metric, self.mode, self.retries, self.fail_fast = metric, mode, retries, fail_fast
        self.seconds: list[float] = []  # of the jobs that were done in this start
        self.starts: dict[int, float] = {}
        self.best: tuple[results.RunResult, str] | None = None  # and its job's name, of those that have ended
        self.given_up = ""
        self.untold: set[int] = set()  # points of which the proposals are to be told
        self.is_cut_off = False  # from the study
        self.runners = RunnerRegistry(state.folder)

    @property
    def total(self) -> int:
        return self.proposals.total * len(self.seeds)

    def run(self) -> None:
        """To the end, or until interrupted: then the jobs have saved and the state says how far it came.

        Other processes may work on the same sweep; this one ends after the last job, whoever has it.
        """
        with LiveTable(self) as screen:
            self._join()
            try:
                while self._start_some() or self.pool.running or self._others_work() or self._is_left():
                    time.sleep(POLL_SECONDS if self.pool.running else IDLE_SECONDS)
                    for number, process in self.pool.ended().items():
                        self._note_end(number, process)
                        screen.shown = 0.0
                    self._tell()
                    screen.show()
                self._tell_at_last()
            finally:
                self._end_all()

    def _end_all(self) -> None:
        try:
            for number, process in self.pool.stop().items():
                self._note_end(number, process, is_stopped=True)
        finally:  # of what a second signal has stopped at once too
            for number, process in self.pool.ended().items():
                self._note_end(number, process, is_stopped=True)
            with self.state.change():
                for job in self.state.jobs:  # what the pool had not begun
                    if job.state == "running" and job.runner == self.runners.name:
                        job.state = "waiting"
            self.runners.leave()

    # ---- before --------------------------------------------------------------------------------------------------
    def _join(self) -> None:
        """Takes stock of what an earlier start left: ended jobs stay so, all others are to be begun or gone on with.

        Where others are at work already, only what dead ones left: a failed job is not tried again under their eyes.
        """
        with self.state.change():
            self.runners.join()
            others = self.runners.others()
            for job in self.state.jobs:
                is_left = job.state == "running" and job.runner not in others
                if is_left or (not others and job.state not in FINISHED):
                    found = self.result(job).state
                    job.state, job.attempts = (found if found in FINISHED else "waiting"), 0
            if self.proposals.are_known:
                while self._add_point():
                    pass
            self.untold = self.state.points
            self._tell()
        for job in self.state.jobs:
            self._note_best(job)

    # ---- meanwhile -----------------------------------------------------------------------------------------------
    def _start_some(self) -> bool:
        """Fills the pool; whether there was anything to start that could not be."""
        while self._is_left() and self.pool.has_room():
            with self.state.change():
                job = self._next()
                if job is None:
                    self.pool.keep_nothing()
                    return False
                job.state, job.runner = "running", self.runners.name
            path = self.state.folder / "logs" / f"{job.name}.log"
            if not self.pool.start(job.number, self.words(job), path):
                with self.state.change():
                    self.state.jobs[job.number].state = "waiting"
                return True
            self.starts[job.number] = time.monotonic()
        return False

    def _others_work(self) -> bool:
        """Whether another process still has a job; what a dead one had is to be gone on with."""
        with self.state.change():
            others, running = self.runners.others(), [job for job in self.state.jobs if job.state == "running"]
            for job in running:
                if job.runner not in others:
                    found = self.result(job).state
                    job.state = found if found in FINISHED else "waiting"
                    self.untold.add(job.point)
        return bool(running)

    def _next(self) -> SweepJob | None:
        if self.given_up:
            return None
        self._leave_out_pruned()
        free = None
        for job in self.state.jobs:
            # What a killed sweep had may still be saving; it is gone on with when it has left its folder.
            if free or job.state != "waiting" or lock.is_locked(self.state.folder / job.name):
                continue
            found = self.result(job).state
            if found in FINISHED:
                job.state = found
                self.untold.add(job.point)
            else:
                free = job
        return free or self._add_point()

    def _add_point(self) -> SweepJob | None:
        """Adds the jobs of one more point, if there is one; the first of them."""
        proposed = self._proposed()
        if proposed is None:
            return None
        (point, values), first = proposed, len(self.state.jobs)
        short = {key: naming.format_value(value) for key, value in values.items()}
        for number, seed in enumerate(self.seeds, first):
            own = {**short, "seed": str(seed)} if len(self.seeds) > 1 or not values else short
            self.state.jobs.append(SweepJob(number, point, values, seed, naming.format_job_name(number, own)))
        return self.state.jobs[first]

    def _proposed(self) -> tuple[int, dict[str, str]] | None:
        """The next point; None where there is none, or none yet."""
        self._tell()
        try:
            found = self.proposals.next(self.state.points)
        except StudyUnreachable as error:
            self._cut_off(error)
            return None
        self.is_cut_off = False
        return found

    def _cut_off(self, error: StudyUnreachable) -> None:
        if not self.is_cut_off:
            log.warning("%s. It is tried again.", error)
        self.is_cut_off = True

    def _is_left(self) -> bool:
        """Whether there is something to begin as soon as that can be."""
        is_waiting = any(job.state == "waiting" for job in self.state.jobs)
        return not self.given_up and (is_waiting or len(self.state.points) < self.proposals.total)

    def _leave_out_pruned(self) -> None:
        """Of a point whose training was pruned for one seed, the other seeds are not begun."""
        pruned = {job.point for job in self.state.jobs if job.state == "pruned"}
        for job in self.state.jobs:
            if job.state == "waiting" and job.point in pruned:
                job.state, job.error = "pruned", "not begun: another seed of this point was pruned"
                self.untold.add(job.point)

    def _note_end(self, number: int, process: LocalJob, is_stopped: bool = False) -> None:
        seconds = time.monotonic() - self.starts[number]
        with self.state.change():
            job = self.state.jobs[number]
            found = self.result(job)
            job.state, job.error = self._ending(job, process, found.state, is_stopped)
            job.attempts += job.state in ("failed", "refused")
            if job.state == "failed" and job.attempts <= self.retries:
                log.info("%s failed (%s), and is started again", job.name, job.error)
                job.state = "waiting"
            self.untold.add(job.point)
        if job.state in FINISHED:
            self.seconds.append(seconds)
            self._note_best(job)
        self._say(job, found, seconds)
        ended = [other for other in self.state.jobs if other.state in CLOSED]
        if self.fail_fast <= len(ended) < self.total and not any(other.state in FINISHED for other in ended):
            self.given_up = f"The first {len(ended)} jobs all failed: nothing more is started."

    def _note_best(self, job: SweepJob) -> None:
        found = self.result(job) if job.state in FINISHED else results.RunResult()
        if math.isfinite(found.score) and (not self.best or found.cost < self.best[0].cost):
            self.best = found, job.name

    @staticmethod
    def _ending(job: SweepJob, process: LocalJob, told: str, is_stopped: bool) -> tuple[str, str]:
        """The state and the error of a job that has ended. told: the state that its run folder tells."""
        code = process.code
        if told in FINISHED and (code in (0, 130, 143) or is_stopped):
            return told, ""
        if is_stopped or code in (130, 143):
            return "interrupted", ""
        error = f"killed by signal {-code}" if code < 0 else process.last_words()
        return ("refused" if code == REFUSED else "failed"), error

    def _say(self, job: SweepJob, found: results.RunResult, seconds: float) -> None:
        over = sum(other.state in CLOSED for other in self.state.jobs)
        line = f"job {job.name}: {job.state}, {format_duration(seconds)}"
        if math.isfinite(found.score):
            line += f", {found.metric} {found.score:.4g}"
        if job.state in ("failed", "refused"):
            line += f": {job.error}"
        log.info("%s (%d of %d%s)", line, over, self.total, self.left())

    def left(self) -> str:
        """How long it still takes, guessed from the jobs so far."""
        to_do = self.total - sum(job.state in CLOSED for job in self.state.jobs)
        if not self.seconds or not to_do:
            return ""
        return f", {format_duration(to_do * mean(self.seconds) / self.pool.size)} left"

    # ---- results -------------------------------------------------------------------------------------------------
    def result(self, job: SweepJob) -> results.RunResult:
        return results.load_result(self.state.folder / job.name, self.metric, self.mode)

    def _tell_at_last(self) -> None:
        """Tries for a while where the study could not be told of the last points."""
        end = time.monotonic() + GRACE_SECONDS
        while self.untold and time.monotonic() < end:
            time.sleep(IDLE_SECONDS)
            self._tell()
        if self.untold:
            log.warning("The study was not told of %d points. The same command tells it.", len(self.untold))

    def _tell(self) -> None:
        """Tells the proposals of the points whose jobs have all ended."""
        for point in sorted(self.untold):
            jobs = self.state.of_point(point)
            if all(job.state in FINISHED for job in jobs):
                scores = [score for job in jobs if math.isfinite(score := self.result(job).score)]
                try:
                    self.proposals.tell(point, mean(scores) if scores else math.nan)
                except StudyUnreachable as error:  # the next time, or in the next start
                    self._cut_off(error)
                    return
            self.untold.discard(point)

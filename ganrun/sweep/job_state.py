"""The state of a sweep's job, and the one place that decides it."""

from enum import Enum

from ganrun.errors import STOP_SIGNALS


class JobState(str, Enum):
    """The values are those of sweep.json; status.json of a run has some of them too."""

    UNKNOWN = ""  # a run without status.json
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"
    REFUSED = "refused"  # the command cannot work as it stands: exit code 2
    INTERRUPTED = "interrupted"

    __str__ = str.__str__

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do for the job."""
        return self in (JobState.DONE, JobState.PRUNED)

    @property
    def has_failed(self) -> bool:
        return self in (JobState.FAILED, JobState.REFUSED)

    @property
    def is_over(self) -> bool:
        """Whether this start of the sweep does no more for the job."""
        return self.is_finished or self.has_failed

    @property
    def exit_code(self) -> int:
        """What the job contributes to the exit code of the sweep."""
        return 0 if self.is_finished else 2 if self == JobState.REFUSED else 1


SAVED = {128 + signum for signum in STOP_SIGNALS}  # exit codes of a run that a signal ended after it had saved


def resolve_state(run: JobState, exit_code: int | None = None, is_stopped: bool = False) -> JobState:
    """Return the state of a job that no process works on, from all that is known of it.

    run: the state in status.json of its run folder.  exit_code: of its process, minus the signal number if a signal
    killed it; None if its process was not watched to its end, or it has had none.  is_stopped: the sweep has asked it
    to end.
    """
    has_saved = is_stopped or exit_code in (None, 0, *SAVED)  # a run that finishes and then crashes has failed
    if run.is_finished and has_saved:
        return run
    if exit_code is None:
        return JobState.WAITING
    if is_stopped or exit_code in SAVED:
        return JobState.INTERRUPTED
    return JobState.REFUSED if exit_code == 2 else JobState.FAILED

"""The table of jobs that a terminal shows while a sweep runs."""

import math
import sys
import time

from rich.table import Table

from ganrun.sweep.job_state import JobState
from ganrun.terminal import LiveDisplay

REDRAW_SECONDS = 1.0
MAX_ROWS = 15


class LiveTable:
    """Redraws the table of a runner's jobs; does nothing outside a terminal, where the log lines have to do."""

    def __init__(self, runner):
        self.runner, self.drawn_at = runner, 0.0
        self.display = LiveDisplay() if sys.stderr.isatty() else None

    def close(self) -> None:
        if self.display:
            self.display.stop()

    def update(self, is_due: bool = False) -> None:
        """Redraw the table once a second, or at once if `is_due`."""
        if self.display and (is_due or time.monotonic() - self.drawn_at > REDRAW_SECONDS):
            self.drawn_at = time.monotonic()
            self.display.update(self._table())

    def _table(self) -> Table:
        runner = self.runner
        jobs = runner.state.jobs
        best = f", best {runner.best[0].score:.4g} by {runner.best[1]}" if runner.best else ""
        title = f"{sum(job.state.is_finished for job in jobs)} of {runner.total} done{runner.time_left()}{best}"
        table = Table("job", "state", "kimg", "score", title=title, title_justify="left")
        for job in [job for job in jobs if job.state != JobState.WAITING][-MAX_ROWS:]:
            result = runner.result(job)
            score = "" if math.isnan(result.score) else f"{result.score:.4g}"
            table.add_row(job.name, str(job.state), f"{result.latest_kimg:.1f}", score)
        return table

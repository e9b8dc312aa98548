"""The table of jobs that a terminal shows while a sweep runs."""

import math
import sys
import time

from rich.table import Table

from ganrun.sweep.job_state import JobState
from ganrun.sweep.report.results import latest_kimg
from ganrun.terminal import LiveDisplay

REDRAW_SECONDS = 1.0
MAX_ROWS = 15


class LiveTable:
    """Redraws the table of a runner's jobs; does nothing outside a terminal, where the log lines have to do."""

    def __init__(self, runner):
        self.runner = runner
        self.display: LiveDisplay | None = None
        self.drawn_at = 0.0

    def __enter__(self):
        if sys.stderr.isatty():
            self.display = LiveDisplay()
        return self

    def __exit__(self, *_):
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
            score = runner.result(job).score
            kimg = latest_kimg(runner.state.folder / job.name)
            table.add_row(job.name, str(job.state), f"{kimg:.1f}", "" if math.isnan(score) else f"{score:.4g}")
        return table

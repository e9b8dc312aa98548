"""What a sweep shows while it runs."""

import math
import sys
import time

from rich.table import Table

from ganrun.sweep.report import results
from ganrun.sweep.state import FINISHED
from ganrun.terminal import LiveDisplay


class LiveTable:
    """A table of the jobs that is redrawn while they run; nothing but the log's lines outside a terminal."""

    def __init__(self, runner):
        self.runner, self.live = runner, None
        self.shown = 0.0

    def __enter__(self):
        if sys.stderr.isatty():
            self.live = LiveDisplay()
        return self

    def __exit__(self, *_):
        if self.live:
            self.live.stop()

    def show(self) -> None:
        if self.live and time.monotonic() - self.shown > 1:
            self.shown = time.monotonic()
            self.live.update(self._table())

    def _table(self) -> Table:
        runner = self.runner
        best = f", best {runner.best[0].score:.4g} by {runner.best[1]}" if runner.best else ""
        title = f"{sum(job.state in FINISHED for job in runner.state.jobs)} of {runner.total} done{runner.left()}{best}"
        shown = Table("job", "state", "kimg", "score", title=title, title_justify="left")
        active = [job for job in runner.state.jobs if job.state != "waiting"][-15:]
        for job in active:
            found = runner.result(job)
            kimg = results.latest_kimg(runner.state.folder / job.name)
            shown.add_row(job.name, job.state, f"{kimg:.1f}", "" if math.isnan(found.score) else f"{found.score:.4g}")
        return shown

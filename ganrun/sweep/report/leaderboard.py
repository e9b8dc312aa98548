"""The ranking of a sweep, or of runs that are compared, in the terminal and on pages."""

import logging
import shlex
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from ganrun.sweep.report import html, ranking, results
from ganrun.sweep.report.ranking import PointResult
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import FINISHED, RunnerRegistry, SweepState

log = logging.getLogger(__name__)
Tabled = Callable[[Sequence[PointResult], str | None], Table]


def show_leaderboard(known: SweepState, metric: str | None, mode: str | None) -> None:
    """Writes the leaderboard of a sweep and shows it, with what failed and how to go on."""
    folder, jobs = known.folder, known.jobs
    found = {job.number: results.load_result(folder / job.name, metric, mode) for job in jobs}
    keys, console = known.keys, Console(soft_wrap=True)
    rankings = show_rankings(
        known, found, console, lambda standings, name: ranking.leaderboard_table(standings, keys, name)
    )
    trained = [result for result in found.values() if result.state]
    if metric and trained and not any(result.history for result in trained):
        log.error("No run has a score %s: nothing could be ranked by sweep.metric.", metric)
    path = ranking.write_leaderboard(folder, rankings, keys)
    console.print(html.count_states(jobs), highlight=False)
    for job in jobs:
        if job.state == "failed":
            log.error("%s failed: %s (%s)", job.name, job.error, folder / "logs" / f"{job.name}.log")
    if any(job.state not in FINISHED for job in jobs) and not RunnerRegistry(folder).others():
        log.info("go on         ganrun sweep resume %s, or the same command again", shlex.quote(str(folder)))
    console.print(f"leaderboard   {path}", markup=False)
    console.print(f"TensorBoard   tensorboard --logdir {folder}", markup=False)


def show_rankings(
    known: SweepState, found: Mapping[int, RunResult], console: Console, tabled: Tabled, title: str | None = None
) -> list[list[PointResult]]:
    """Ranks the jobs whose scores were measured alike, shows each ranking by `tabled` and writes its page.

    title: of the pages, in place of the sweep's name and command.
    """
    groups, rankings = ranking.group_comparable(known.jobs, found), []
    if len(groups) > 1:
        console.print(ranking.explain_groups(groups, found), highlight=False, markup=False)
    for number, own in enumerate(groups, 1):
        told = max((found[job.number] for job in own), key=lambda result: (bool(result.protocol), bool(result.state)))
        rankings.append(ranking.rank_points(own, found, told.mode))
        console.print(tabled(rankings[-1], told.metric))
        part = SweepState(known.folder, known.definition, own, known.command)
        name = html.REPORT_FILE if len(groups) == 1 else f"report-{number}.html"
        page = html.write_report(part, rankings[-1], found, told.metric, title, name)
        console.print(f"report        {page}", markup=False)
    return rankings

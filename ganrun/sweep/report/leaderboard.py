"""The results of a sweep, or of compared runs, in the terminal and as pages."""

import logging
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from ganrun.errors import ganrun_command, shell_quote
from ganrun.sweep.job_state import JobState
from ganrun.sweep.report import html, ranking
from ganrun.sweep.report.ranking import PointResult, leaderboard_table
from ganrun.sweep.report.results import Results, load_result
from ganrun.sweep.state import RunnerRegistry, SweepState
from ganrun.terminal import PlainConsole

log = logging.getLogger(__name__)


def show_leaderboard(sweep: SweepState, metric: str | None, mode: str | None) -> None:
    """Write the pages of a sweep, and print its ranking, what failed, and how to continue."""
    folder, jobs, keys = sweep.folder, sweep.jobs, sweep.keys
    results = {job.number: load_result(folder / job.name, metric, mode) for job in jobs}
    console = PlainConsole(soft_wrap=True)
    rankings = show_rankings(sweep, results, console, lambda points, name: leaderboard_table(points, keys, name))
    runs = [result for result in results.values() if result.state]
    if metric and runs and not any(result.history for result in runs):
        log.error("No run has the score sweep.metric=%s, so there is no ranking.", metric)
    path = ranking.write_leaderboard(folder, rankings, keys)
    console.print(html.count_states(jobs), highlight=False)
    for job in jobs:
        if job.state == JobState.FAILED:
            log.error("%s failed: %s (%s)", job.name, job.error, folder / "logs" / f"{job.name}.log")
    if any(not job.state.is_finished for job in jobs) and not RunnerRegistry(folder).others():
        log.info("continue      %s, or the same command again", ganrun_command("sweep", "resume", folder))
    console.print(f"leaderboard   {path}")
    console.print(f"TensorBoard   tensorboard --logdir {shell_quote(str(folder))}")


def show_rankings(
    sweep: SweepState,
    results: Results,
    console: PlainConsole,
    build_table: Callable[..., Table],
    title: str = "",
    pages: Path | None = None,
) -> list[list[PointResult]]:
    """Rank the jobs of each score protocol, print the tables and write the pages; return the rankings.

    build_table: takes a ranking and the score's name.  title: of the pages, instead of the sweep's name and command.
    pages: the folder to write them to if it is not the sweep's yet.
    """
    groups, rankings = ranking.group_comparable(sweep.jobs, results), []
    if len(groups) > 1:
        console.print(*ranking.explain_groups(groups, results), sep="\n", highlight=False)
    for number, jobs in enumerate(groups, 1):
        example = max((results[job.number] for job in jobs), key=lambda r: (bool(r.protocol), bool(r.state)))
        rankings.append(ranking.rank_points(jobs, results, example.mode))
        console.print(build_table(rankings[-1], example.metric))
        notes = [ranking.describe_ranks(rankings[-1]), ranking.describe_lengths(jobs, results)]
        for note in filter(None, [*notes, ranking.describe_precisions(jobs, results)]):
            console.print(note, highlight=False, soft_wrap=not console.is_terminal)  # a terminal breaks it at words
        part = SweepState(sweep.folder, sweep.definition, jobs, sweep.command)
        name = html.REPORT_FILE if len(groups) == 1 else f"report-{number}.html"
        html.write_report(part, rankings[-1], results, example.metric, title, (pages or sweep.folder) / name)
        console.print(f"report        {sweep.folder / name}")
    return rankings

"""The points of a sweep, ranked by their mean score over seeds."""

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from rich.table import Table

from ganrun.errors import printable
from ganrun.files import replace_text
from ganrun.sweep.job_state import JobState
from ganrun.sweep.naming import format_value, short_keys
from ganrun.sweep.report.confidence import Sample, are_separated
from ganrun.sweep.report.results import Results
from ganrun.sweep.state import SweepJob

LEADERBOARD_FILE = "leaderboard.csv"
MAX_LISTED = 8  # runs in a note


@dataclass
class PointResult:
    """A point, its jobs and their results by job number. scores: of the seeds that have a finite one."""

    point: int
    values: dict[str, str]
    jobs: list[SweepJob]
    results: Results
    rank: int = 0  # from 1; points that chance may have ordered share one. 0: without a score

    @property
    def scored(self) -> list[SweepJob]:
        return [job for job in self.jobs if math.isfinite(self.results[job.number].score)]

    @property
    def scores(self) -> list[float]:
        return [self.results[job.number].score for job in self.scored]

    @property
    def sample(self) -> Sample:
        return Sample(self.scores, [self.results[job.number].error for job in self.scored])

    @property
    def mean(self) -> float:
        return mean(self.scores) if self.scores else math.nan

    @property
    def deviation(self) -> float:
        """The sample standard deviation over seeds; NaN for a single seed."""
        return stdev(self.scores) if len(self.scores) > 1 else math.nan


def rank_points(jobs: Sequence[SweepJob], results: Results, mode: str) -> list[PointResult]:
    """Return the points from best to worst mean, with their ranks, then those without a score.

    A rank is 1 + the number of better points, of which those count that are separated from this one.
    """
    points: dict[int, list[SweepJob]] = {}
    for job in jobs:
        points.setdefault(job.point, []).append(job)
    ranked = [PointResult(point, seeds[0].values, seeds, results) for point, seeds in points.items()]
    sign = 1 if mode == "min" else -1
    ranked.sort(key=lambda p: (not p.scores, sign * p.mean if p.scores else 0, p.point))
    scored = [point for point in ranked if point.scores]
    for place, point in enumerate(scored):
        better = sum(are_separated(other.sample, point.sample) for other in scored[:place])
        point.rank = max(1 + better, scored[place - 1].rank if place else 1)
    return ranked


def varying_keys(ranked: Sequence[PointResult], keys: Sequence[str]) -> list[str]:
    """Return the keys whose values differ among the points: others say nothing. All of them for a single point."""
    return [key for key in keys if len(ranked) < 2 or len({point.values.get(key) for point in ranked}) > 1]


def distinguishing_keys(ranked: Sequence[PointResult], keys: Sequence[str]) -> list[str]:
    """Return the fewest keys that tell the points apart, model first: loss and optimizer follow from it, mostly."""
    chosen: list[str] = []
    for key in sorted(varying_keys(ranked, keys), key=lambda key: key != "model"):
        told_apart = {tuple(point.values.get(name) for name in chosen) for point in ranked}
        if len({tuple(point.values.get(name) for name in [*chosen, key]) for point in ranked}) > len(told_apart):
            chosen.append(key)
    return chosen


def point_name(point: PointResult, keys: Sequence[str]) -> str:
    """Return the settings that distinguish a point: "model=gan, lr=0.001"."""
    pairs = zip(short_keys(keys), keys, strict=True)
    return ", ".join(f"{name}={format_value(point.values[key])}" for name, key in pairs if key in point.values)


def group_comparable(jobs: Sequence[SweepJob], results: Results) -> list[list[SweepJob]]:
    """Return the jobs in groups with equal score protocols, in the order of their first jobs.

    A job without a score joins the other jobs of its point, or else the first group.
    """
    protocols = {job.number: tuple(sorted(results[job.number].protocol.items())) for job in jobs}
    by_point = {job.point: protocols[job.number] for job in reversed(jobs) if protocols[job.number]}
    first = next((protocol for protocol in protocols.values() if protocol), ())
    groups: dict[tuple, list[SweepJob]] = {}
    for job in jobs:
        groups.setdefault(protocols[job.number] or by_point.get(job.point, first), []).append(job)
    return list(groups.values())


def explain_groups(groups: Sequence[Sequence[SweepJob]], results: Results) -> list[str]:
    """Return lines that say in which entries the score protocols of the groups differ."""
    protocols = [next((p for job in group if (p := results[job.number].protocol)), {}) for group in groups]
    keys = sorted({key for protocol in protocols for key in protocol if len({p.get(key) for p in protocols}) > 1})
    lines = ["These runs are not ranked together, because their scores were measured differently."]
    for protocol, group in zip(protocols, groups, strict=True):
        entries = ", ".join(f"{key} {protocol.get(key, 'unknown')}" for key in keys)
        lines.append(f"  runs {', '.join(str(job.number) for job in group)}: {entries}")
    return lines


def describe_ranks(ranked: Sequence[PointResult]) -> str:
    """Return what the ranks do not say: which are shared, or which cannot be tested; "" if there is nothing to add."""
    scored = [point for point in ranked if point.scores]
    single = sum(len(point.scores) == 1 for point in scored)
    notes = []
    if len({point.rank for point in scored}) < len(scored):
        ways = ["by their seeds (Welch's t-test, 5 %)"] if single < len(scored) - 1 else []
        ways += ["by the errors of their scores over sets of samples (1.96 standard errors)"] if single else []
        notes.append(f"Points with the same rank are not separated {', or with one seed '.join(ways)}.")
    if len(scored) > 1 and single:
        which = (
            "Each point has one seed" if single == len(scored) else f"{single} of {len(scored)} points have one seed"
        )
        notes.append(f"{which}, so their order may be chance. Several seeds tell: seed=1,2,3")
    return " ".join(notes)


def describe_lengths(jobs: Sequence[SweepJob], results: Results) -> str:
    """Return which jobs with a score were trained for less than half of the longest; "" if none."""
    lengths = {job.number: results[job.number].kimg for job in jobs if results[job.number].history}
    longest = max(lengths.values(), default=0)
    short = {number: kimg for number, kimg in lengths.items() if kimg < longest / 2}
    if not short:
        return ""
    listed = ", ".join(f"{number} ({kimg:g})" for number, kimg in [*short.items()][:MAX_LISTED])
    more = f" and {len(short) - MAX_LISTED} more" if len(short) > MAX_LISTED else ""
    return f"Of very different length: the longest run has {longest:g} kimg, less than half have runs {listed}{more}."


def describe_precisions(jobs: Sequence[SweepJob], results: Results) -> str:
    """Return the precisions in which the runs were trained: "precision 32-true", or which runs have which."""
    runs: dict[str, list[str]] = {}
    for job in jobs:
        if precision := results[job.number].precision:
            runs.setdefault(precision, []).append(str(job.number))
    if len(runs) < 2:
        return f"precision {next(iter(runs))}" if runs else ""
    return "; ".join(f"precision {name}: runs {', '.join(numbers)}" for name, numbers in runs.items())


def leaderboard_table(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Table:
    """Return the ranking as a table for the terminal, with those of the keys that vary."""
    keys = varying_keys(ranked, keys)
    table = Table(title=describe_columns("leaderboard", ranked), title_justify="left")
    for column in ("rank", *short_keys(keys), metric or "score", "deviation", "seeds", "best job"):
        table.add_column(column, overflow="fold")  # a truncated number would be another number
    for point in ranked:
        best = str(best_job(point).number) if point.scores else ""
        table.add_row(*ranking_row(point, keys), best)
    return table


def describe_columns(title: str, ranked: Sequence[PointResult]) -> str:
    """Return the title of a ranking with what its scores and deviations are of."""
    counts = {len(point.scores) for point in ranked} - {0}
    means = ", means and deviations over seeds" if counts - {1} else ""
    return f"{title}: best score of each run{means}" if counts else title


def ranking_row(point: PointResult, keys: Sequence[str]) -> list[str]:
    """Return rank, settings, mean, deviation, the number of seeds with a score, and why the other jobs have none.

    Without a score that could rank, the number of seeds.
    """
    values = [format_value(point.values.get(key, "")) for key in keys]
    states = Counter(str(job.state) for job in point.jobs if job.state not in (JobState.UNKNOWN, JobState.DONE))
    results = [point.results[job.number] for job in point.jobs if job.state == JobState.DONE]
    states += Counter("no score" for result in results if result.metric and not math.isfinite(result.score))
    unfinished = [f"{count} {state}" if len(point.jobs) > 1 else state for state, count in states.items()]
    is_scored = any(point.results[job.number].metric for job in point.jobs)
    count = f"{len(point.scores)}/{len(point.jobs)}" if is_scored else str(len(point.jobs))
    seeds = ", ".join([count, *unfinished])
    if not point.scores:
        return ["", *values, "", "", seeds]
    deviation = "" if math.isnan(point.deviation) else f"{point.deviation:.3g}"
    return [str(point.rank), *values, f"{point.mean:.4g}", deviation, seeds]


def best_job(point: PointResult) -> SweepJob:
    """Return the job with the best score of a point that has scores."""
    return min(point.scored, key=lambda job: point.results[job.number].cost)


def write_leaderboard(folder: Path, rankings: Sequence[Sequence[PointResult]], keys: Sequence[str]) -> Path:
    """Write leaderboard.csv, a row per job, and return its path. The ranks of each ranking begin at 1."""
    text = io.StringIO()
    head = ["rank", "job", *keys, "seed", "state", "kimg", "metric", "score", "mean", "deviation", "seeds", "error"]
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(map(csv_cell, [*head, "folder"]))
    for point in (point for ranked in rankings for point in ranked):
        rank = point.rank or ""
        for job in point.jobs:
            result = point.results[job.number]
            scores = ["" if math.isnan(x) else repr(x) for x in (result.score, point.mean, point.deviation)]
            values = [point.values.get(key, "") for key in keys]
            row = [rank, job.number, *values, job.seed, str(job.state), f"{result.kimg:g}", result.metric]
            rows.writerow(map(csv_cell, [*row, *scores, len(point.scores), job.error, job.name]))
    replace_text(folder / LEADERBOARD_FILE, text.getvalue())
    return folder / LEADERBOARD_FILE


def csv_cell(value: object) -> str:
    """Return a value for a CSV file: a text that a spreadsheet would compute as a formula begins with an apostrophe."""
    text = printable("" if value is None else value)
    try:
        float(text)  # a negative number is not a formula
    except ValueError:
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return text

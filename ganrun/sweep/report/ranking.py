"""Who won: the points of a sweep ranked by their mean score over seeds."""

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev

from rich.markup import escape
from rich.table import Table

from ganrun.paths import replace_text
from ganrun.sweep.naming import format_value, short_keys
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob

LEADERBOARD_FILE = "leaderboard.csv"


@dataclass
class PointResult:
    """A point with the results of its jobs, by the jobs' numbers.

    mean, deviation: of the scores of its seeds that have one; the deviation is the sample's, nan for a single seed.
    """

    point: int
    values: dict[str, str]
    jobs: list[SweepJob]
    results: Mapping[int, RunResult]
    scores: list[float] = field(init=False)

    def __post_init__(self):
        found = (self.results[job.number].score for job in self.jobs)
        self.scores = [score for score in found if math.isfinite(score)]

    @property
    def mean(self) -> float:
        return mean(self.scores) if self.scores else math.nan

    @property
    def deviation(self) -> float:
        return stdev(self.scores) if len(self.scores) > 1 else math.nan


def rank_points(jobs: Sequence[SweepJob], results: Mapping[int, RunResult], mode: str) -> list[PointResult]:
    """The points, the best first; those without a score last."""
    points: dict[int, list[SweepJob]] = {}
    for job in jobs:
        points.setdefault(job.point, []).append(job)
    found = [PointResult(point, own[0].values, own, results) for point, own in points.items()]
    sign = 1 if mode == "min" else -1
    return sorted(found, key=lambda s: (not s.scores, sign * s.mean if s.scores else 0, s.point))


def group_comparable(jobs: Sequence[SweepJob], results: Mapping[int, RunResult]) -> list[list[SweepJob]]:
    """The jobs in groups whose scores were measured alike, in the order of their first; those without a score are with
    their point, or else in the first group."""
    kinds: dict[tuple, list[SweepJob]] = {}
    places: dict[int, tuple] = {}
    for job in jobs:
        if found := results[job.number].protocol:
            places.setdefault(job.point, tuple(sorted(found.items())))
    first = next(iter(places.values()), ())
    for job in jobs:
        found = tuple(sorted(results[job.number].protocol.items()))
        kinds.setdefault(found or places.get(job.point, first), []).append(job)
    return list(kinds.values())


def explain_groups(groups: Sequence[Sequence[SweepJob]], results: Mapping[int, RunResult]) -> str:
    """In what the groups' scores were measured otherwise."""
    kinds = [next((found for job in own if (found := results[job.number].protocol)), {}) for own in groups]
    keys = sorted({key for kind in kinds for key in kind if len({other.get(key) for other in kinds}) > 1})
    lines = ["Not ranked together: their scores were not measured alike."]
    for kind, own in zip(kinds, groups, strict=True):
        told = ", ".join(f"{key} {kind.get(key, 'unknown')}" for key in keys)
        lines.append(f"  runs {', '.join(str(job.number) for job in own)}: {told}")
    return "\n".join(lines)


def leaderboard_table(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Table:
    """The ranking, for the terminal."""
    shown = Table(title="leaderboard", title_justify="left")
    for column in ("rank", *short_keys(keys), metric or "score", "deviation", "seeds", "best job"):
        shown.add_column(column, overflow="fold")  # a number that is cut is another number
    for place, standing in enumerate(ranked, 1):
        best = str(best_job(standing).number) if standing.scores else ""
        shown.add_row(*map(escape, ranking_row(place, standing, keys)), best)
    return shown


def ranking_row(place: int, standing: PointResult, keys: Sequence[str]) -> list[str]:
    """A row of the ranking: rank, settings, mean, deviation, seeds and what is not done of them."""
    values = [format_value(standing.values.get(key, "")) for key in keys]
    states = Counter(job.state for job in standing.jobs if job.state not in ("", "done"))
    undone = ", ".join(f"{count} {state}" if len(standing.jobs) > 1 else state for state, count in states.items())
    seeds = ", ".join(filter(None, [f"{len(standing.scores)}/{len(standing.jobs)}", undone]))
    if not standing.scores:
        return ["", *values, "", "", seeds]
    deviation = "" if math.isnan(standing.deviation) else f"{standing.deviation:.3g}"
    return [str(place), *values, f"{standing.mean:.4g}", deviation, seeds]


def best_job(standing: PointResult) -> SweepJob:
    """The job of the point's best score."""
    scored = [job for job in standing.jobs if math.isfinite(standing.results[job.number].score)]
    return min(scored, key=lambda job: standing.results[job.number].cost)


def write_leaderboard(folder: Path, rankings: Sequence[Sequence[PointResult]], keys: Sequence[str]) -> Path:
    """Writes a row per job, the best point's first, each with its point's mean, deviation and number of scores.

    rankings: one for each kind of score; the ranks begin anew with each.
    """
    text = io.StringIO()
    head = ["rank", "job", *keys, "seed", "state", "kimg", "metric", "score", "mean", "deviation", "seeds", "error"]
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*head, "folder"])
    for place, standing in (pair for ranked in rankings for pair in enumerate(ranked, 1)):
        rank = place if standing.scores else ""
        for job in standing.jobs:
            result = standing.results[job.number]
            score = [format_score(x) for x in (result.score, standing.mean, standing.deviation)]
            values = [standing.values.get(key, "") for key in keys]
            row = [rank, job.number, *values, job.seed, job.state, f"{result.kimg:g}", result.metric]
            rows.writerow([*row, *score, len(standing.scores), job.error, job.name])
    replace_text(folder / LEADERBOARD_FILE, text.getvalue())
    return folder / LEADERBOARD_FILE


def format_score(value: float) -> str:
    return "" if math.isnan(value) else repr(value)

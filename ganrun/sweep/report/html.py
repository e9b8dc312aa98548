"""The report of a sweep or of compared runs: one page, report.html, that needs no other file and no network."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ganrun.data.decode import BadImageError
from ganrun.errors import ganrun_command
from ganrun.files import replace_text
from ganrun.sweep.naming import short_keys
from ganrun.sweep.report import ranking
from ganrun.sweep.report.elements import Element, element, join, table
from ganrun.sweep.report.figures import axis_title, colour_of, plot_importance, plot_scores, plot_settings
from ganrun.sweep.report.page import figure_element, page
from ganrun.sweep.report.ranking import PointResult, best_job, point_name, ranking_row
from ganrun.sweep.report.results import Results
from ganrun.sweep.report.thumbnails import kimg_from_name, thumbnail
from ganrun.sweep.state import SweepJob, SweepState

log = logging.getLogger(__name__)
REPORT_FILE = "report.html"
MAX_LARGE = 24  # points whose samples are shown 240 pixels wide; more are half as wide


def write_report(
    sweep: SweepState,
    ranked: Sequence[PointResult],
    results: Results,
    metric: str | None,
    title="",
    path: Path | None = None,
) -> Path:
    """Write the page and return its path. title: instead of the folder's name and the command.

    path: of the page; None for report.html in the sweep's folder, from which all links lead.
    """
    names = ranking.distinguishing_keys(ranked, sweep.keys)
    keys = [*names, *(key for key in ranking.varying_keys(ranked, sweep.keys) if key not in names)]
    figures = {
        "Scores during training": lambda: plot_scores(ranked, names, metric),
        "Settings and score": lambda: plot_settings(ranked, names, metric),
        "Importance of each setting": lambda: plot_importance(ranked),
    }
    command = [override for override in sweep.command if not override.startswith("sweep.storage=")]  # has a password
    heading = [] if title else [element("code", ganrun_command("train", "-m", *command)), element("br")]
    notes = [ranking.describe_ranks(ranked), ranking.describe_lengths(sweep.jobs, results)]
    notes.append(ranking.describe_precisions(sweep.jobs, results))
    drawn = figures_html(figures)
    sections = [
        element("h1", title or sweep.folder.name),
        element("p", *heading, count_states(sweep.jobs)),
        element("h2", "Leaderboard"),
        element("div", leaderboard_html(sweep, ranked, keys, metric), **{"class": "wide"}),
        *(element("p", note, **{"class": "note"}) for note in notes if note),
        element("h2", "Samples"),
        samples_html(sweep, ranked, names),
        *drawn,
    ]
    if failed := [job for job in sweep.jobs if job.state.has_failed]:
        sections += [element("h2", "Failures"), table((run_link(sweep, job), job.error) for job in failed)]
    path = path or sweep.folder / REPORT_FILE
    replace_text(path, page(sweep.folder.name, sections, figures=bool(drawn)))
    return path


def count_states(jobs: Sequence[SweepJob]) -> str:
    """Return how many jobs are in which state: 9 in total: 8 done, 1 failed."""
    states = Counter(str(job.state) for job in jobs)
    return f"{len(jobs)} in total: " + ", ".join(f"{count} {state}" for state, count in states.items() if state)


def figures_html(figures: Mapping[str, Callable[[], Any]]) -> list[Element]:
    """Return a section for each figure that is not None. Log a figure that fails: the rest matters more."""
    sections: list[Element] = []
    for caption, draw in figures.items():
        try:
            figure = draw()
            sections += [] if figure is None else [element("h2", caption), figure_element(figure)]
        except Exception as error:
            log.warning("The report lacks its figure %r: %s", caption, error)
    return sections


def leaderboard_html(
    sweep: SweepState, ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None
) -> Element:
    """Return the ranking; each point has the colour that it has in the figures, and a link to its best run."""
    rows = []
    for place, point in enumerate(ranked):
        rank, *cells = ranking_row(point, keys)
        values, scores = cells[: len(keys)], cells[len(keys) :]
        best = run_link(sweep, best_job(point)) if point.scores else ""
        kimg = max(point.results[job.number].kimg for job in point.jobs)
        rows.append([join([swatch(place), rank]), *scores, *values, f"{kimg:g}", best])
    score = axis_title(metric or "score")
    return table(rows, ["rank", score, "deviation", "seeds", *short_keys(keys), "kimg", "best run"])


def swatch(place: int) -> Element:
    """Return a square in the colour of the point at this place of the ranking."""
    return element("span", **{"class": "swatch", "style": f"background:{colour_of(place)}"})


def run_link(sweep: SweepState, job: SweepJob, child: object = None) -> Element:
    """Return a link from the sweep's folder to a run folder; child: what is clicked, instead of the folder's name."""
    folder = sweep.folder / job.name
    name = "/".join(folder.parts[-2:]) if Path(job.name).is_absolute() else job.name
    return element("a", child or name, href=quote(Path(os.path.relpath(folder, sweep.folder)).as_posix()) + "/")


def samples_html(sweep: SweepState, ranked: Sequence[PointResult], keys: Sequence[str]) -> Element:
    """Return the samples of each point's best run in the order of the ranking, saved nearest to its best score."""
    pictures = []
    for place, point in enumerate(ranked):
        job = best_job(point) if point.scores else point.jobs[0]
        folder, result = sweep.folder / job.name, point.results[job.number]
        images = {kimg_from_name(path): path for path in sorted((folder / "samples").glob("*kimg*.png"))}
        if not images:
            continue
        best = next((kimg for kimg, score in result.history if score == result.score), max(images))
        kimg = min(images, key=lambda kimg: abs(kimg - best))
        name = point_name(point, keys) or folder.name
        lines = [f"{result.score:.4g} at {best:g} kimg"] if result.history else []
        lines += [f"samples at {kimg:g} kimg"] if kimg != best else []
        lines += [f"the best of {len(point.scores)} seeds"] if len(point.scores) > 1 else []
        caption = [swatch(place), f"{point.rank}. " if point.rank else "", element("b", name)]
        try:
            source = thumbnail(images[kimg], sweep.folder, 240 if len(ranked) <= MAX_LARGE else 120)
        except (OSError, BadImageError) as error:
            log.warning("The report lacks the samples of %s: %s", name, error)
            continue
        image = run_link(sweep, job, element("img", src=source, alt=name, loading="lazy"))
        pictures.append(element("figure", image, element("figcaption", *caption, element("br"), "; ".join(lines))))
    attributes = {"class": "many"} if len(ranked) > MAX_LARGE else {}
    return element("div", *pictures, **attributes) if pictures else element("p", "none")

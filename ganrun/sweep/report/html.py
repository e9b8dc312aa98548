"""The report of a sweep: one page, report.html, that needs no other file and no network."""

import base64
import logging
import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ganrun.files import replace_text
from ganrun.sweep.naming import short_keys
from ganrun.sweep.report.ranking import PointResult, best_job, ranking_row
from ganrun.sweep.report.results import Results
from ganrun.sweep.state import SweepJob, SweepState

log = logging.getLogger(__name__)
REPORT_FILE = "report.html"
UNSET = "none"  # shown for a setting that a point does not have
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: left }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere } code { background: #f4f4f4; padding: .1em .3em }
figure { display: inline-block; margin: .5em; vertical-align: top }
figure img { width: 240px; image-rendering: pixelated }
figcaption { max-width: 240px; font-size: 13px; overflow-wrap: anywhere }
"""


def write_report(
    sweep: SweepState,
    ranked: Sequence[PointResult],
    results: Results,
    metric: str | None,
    title="",
    path: Path | None = None,
) -> Path:
    """Write the page and return its path. title: instead of the folder's name and the command.

    path: of the page; None for report.html in the sweep's folder.
    """
    figures = {
        "Scores during training": lambda: plot_scores(sweep, results, metric),
        "Settings and score": lambda: plot_coordinates(sweep, ranked, metric),
        "Importance of each setting": lambda: plot_importance(ranked),
    }
    command = [override for override in sweep.command if not override.startswith("sweep.storage=")]  # has a password
    heading = "" if title else f"<code>ganrun train -m {escape(shlex.join(command))}</code><br>"
    sections = [
        f"<h1>{escape(title or sweep.folder.name)}</h1><p>{heading}{count_states(sweep.jobs)}</p>",
        f"<h2>Leaderboard</h2>{leaderboard_html(ranked, sweep.keys, metric)}",
        *figures_html(figures),
        f"<h2>Samples</h2>{samples_html(sweep, results)}",
    ]
    if failed := [job for job in sweep.jobs if job.state.has_failed]:
        rows = (f"<tr><td>{escape(job.name)}</td><td>{escape(job.error)}</td></tr>" for job in failed)
        sections.append(f"<h2>Failures</h2><table>{''.join(rows)}</table>")
    head = f"<meta charset='utf-8'><title>{escape(sweep.folder.name)}</title><style>{STYLE}</style>"
    path = path or sweep.folder / REPORT_FILE
    replace_text(path, f"<!doctype html><html><head>{head}</head><body>{''.join(sections)}</body></html>\n")
    return path


def count_states(jobs: Sequence[SweepJob]) -> str:
    """Return how many jobs are in which state: 9 in total: 8 done, 1 failed."""
    states = Counter(str(job.state) for job in jobs)
    return f"{len(jobs)} in total: " + ", ".join(f"{count} {state}" for state, count in states.items() if state)


def figures_html(figures: Mapping[str, Callable[[], Any]]) -> list[str]:
    """Return a section for each figure that is not None. Log a figure that fails: the rest matters more."""
    sections = []
    for caption, draw in figures.items():
        try:
            figure = draw()
        except Exception as error:
            log.warning("The report lacks its figure %r: %s", caption, error)
            continue
        if figure is not None:
            plot = figure.to_html(full_html=False, include_plotlyjs=not sections, config={"displaylogo": False})
            sections.append(f"<h2>{caption}</h2>{plot}")
    return sections


def leaderboard_html(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> str:
    columns = ["rank", *short_keys(keys), metric or "score", "deviation", "seeds", "best run"]
    rows = ["".join(f"<th>{escape(column)}</th>" for column in columns)]
    for rank, point in enumerate(ranked, 1):
        best = Path(best_job(point).name).name if point.scores else ""
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in [*ranking_row(rank, point, keys), best]))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def plot_scores(sweep: SweepState, results: Results, metric: str | None) -> Any:
    """Return a figure with a line per job and a colour per point; None without scores."""
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    figure = go.Figure()
    for job in sweep.jobs:
        history = results[job.number].history
        if history:
            kimg, scores = zip(*history, strict=True)
            line, name = {"color": qualitative.Dark24[job.point % len(qualitative.Dark24)]}, Path(job.name).name
            figure.add_scatter(x=kimg, y=scores, name=name, mode="lines+markers", line=line, marker={"size": 4})
    figure.update_layout(xaxis_title="kimg", yaxis_title=metric, template="plotly_white", height=480)
    return figure if figure.data else None


def plot_coordinates(sweep: SweepState, ranked: Sequence[PointResult], metric: str | None) -> Any:
    """Return parallel coordinates: a line per point through its settings and mean score; None for a single point."""
    import plotly.graph_objects as go

    scored = [point for point in ranked if point.scores]
    keys = [key for key in sweep.keys if any(key in point.values for point in scored)]
    if len(scored) < 2 or not keys:
        return None
    labels = zip(short_keys(keys), keys, strict=True)
    axes = [coordinate_axis(label, [point.values.get(key) for point in scored]) for label, key in labels]
    means = [point.mean for point in scored]
    axes.append({"label": metric, "values": means})
    line = {"color": means, "colorscale": "Viridis", "showscale": True}
    return go.Figure(go.Parcoords(dimensions=axes, line=line)).update_layout(height=420, margin={"l": 90, "r": 60})


def coordinate_axis(label: str, values: Sequence[str | None]) -> dict:
    """Return an axis of parallel coordinates: categories, numbers, or log10 of numbers that span two decades.

    Points without a value (None) stand below the others, at a tick of their own.
    """
    given = [value for value in values if value is not None]
    try:
        numbers = [float(value) for value in given]
    except ValueError:
        names = sorted(set(given)) + [UNSET] * (len(given) < len(values))
        indices = [names.index(UNSET if value is None else value) for value in values]
        return {"label": label, "values": indices, "tickvals": list(range(len(names))), "ticktext": names}
    if min(numbers) > 0 and max(numbers) / min(numbers) >= 100:
        label, numbers = f"log10 {label}", [math.log10(number) for number in numbers]
    if len(given) == len(values):
        return {"label": label, "values": numbers}
    low, high = min(numbers), max(numbers)
    below = low - 0.15 * ((high - low) or 1)
    marks = sorted({low, (low + high) / 2, high})
    ticks = {"tickvals": [below, *marks], "ticktext": [UNSET, *(f"{mark:.3g}" for mark in marks)]}
    return {"label": label, "values": [below if value is None else numbers.pop(0) for value in values], **ticks}


def plot_importance(ranked: Sequence[PointResult]) -> Any:
    """Return how much each setting contributes to good scores (PED-ANOVA, Watanabe et al. 2023).

    Only settings that all points have and that vary; None with fewer than 8 points or 2 such settings.
    """
    scored = [point for point in ranked if point.scores]
    keys = [key for key in (scored[0].values if scored else ()) if all(key in p.values for p in scored)]
    keys = [key for key in keys if len({p.values[key] for p in scored}) > 1]
    if len(scored) < 8 or len(keys) < 2:
        return None
    import optuna
    import plotly.graph_objects as go
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize" if scored[0].mean <= scored[-1].mean else "maximize")
    distributions = {key: distribution_of([point.values[key] for point in scored]) for key in keys}
    for point in scored:
        params = {key: trial_value(point.values[key], distributions[key]) for key in keys}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=point.mean))
    shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    bars = go.Bar(x=list(shares.values()), y=list(shares), orientation="h")
    return go.Figure(bars).update_layout(
        template="plotly_white", height=160 + 40 * len(keys), yaxis_autorange="reversed"
    )


def distribution_of(values: Sequence[str]) -> Any:
    """Return Optuna's distribution for the values of a setting: a range of numbers, or categories."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return CategoricalDistribution(sorted(set(values)))
    low, high = min(numbers), max(numbers)
    return FloatDistribution(low, high, log=low > 0 and high / low >= 100)


def trial_value(value: str, distribution: Any) -> str | float:
    return value if hasattr(distribution, "choices") else float(value)


def samples_html(sweep: SweepState, results: Results) -> str:
    """Return one image of samples per job: the one saved nearest to the job's best score."""
    figures = []
    for job in sweep.jobs:
        result, name = results[job.number], Path(job.name).name
        images = {kimg_from_name(path): path for path in sorted((sweep.folder / job.name / "samples").glob("*.png"))}
        if not images:
            continue
        best = next((kimg for kimg, score in result.history if score == result.score), max(images))
        kimg = min(images, key=lambda kimg: abs(kimg - best))
        data = base64.b64encode(images[kimg].read_bytes()).decode()
        caption = f"{name}, {result.score:.4g} at {best:g} kimg" if result.history else name
        caption += f"; samples at {kimg:g} kimg" if kimg != best else ""
        image = f"<img src='data:image/png;base64,{data}' alt='{escape(job.name)}'>"
        figures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    return "".join(figures) or "<p>none</p>"


def kimg_from_name(path: Path) -> float:
    """Return the kimg in the name of a samples file, such as samples-kimg000020.000.png."""
    match = re.search(r"kimg([\d.]+)\.png", path.name)
    return float(match[1]) if match else 0.0

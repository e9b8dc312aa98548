"""The report of a sweep: one page, report.html, that needs no other file and no network."""

import base64
import logging
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ganrun.data.decode import BadImageError, check_png
from ganrun.errors import ganrun_command, printable
from ganrun.files import read_bytes, replace_text
from ganrun.sweep.naming import short_keys
from ganrun.sweep.report.elements import Element, element, join, table
from ganrun.sweep.report.ranking import PointResult, best_job, describe_precisions, ranking_row
from ganrun.sweep.report.results import Results
from ganrun.sweep.state import SweepJob, SweepState

log = logging.getLogger(__name__)
REPORT_FILE = "report.html"
MAX_PICTURE_BYTES = 2**24
# Nothing is loaded from elsewhere. Plotly's own script stands in the page and compiles its shaders' code.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
PLAIN_TEXTS = ("ticktext",)  # of parallel coordinates, in which plotly shows tags as they are
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
    heading = [] if title else [element("code", ganrun_command("train", "-m", *command)), element("br")]
    sections = [
        element("h1", title or sweep.folder.name),
        element("p", *heading, count_states(sweep.jobs)),
        element("h2", "Leaderboard"),
        leaderboard_html(ranked, sweep.keys, metric),
        element("p", describe_precisions(sweep.jobs, results)),
        *figures_html(figures),
        element("h2", "Samples"),
        samples_html(sweep, results),
    ]
    if failed := [job for job in sweep.jobs if job.state.has_failed]:
        sections += [element("h2", "Failures"), table((job.name, job.error) for job in failed)]
    path = path or sweep.folder / REPORT_FILE
    replace_text(path, page(sweep.folder.name, sections))
    return path


def page(title: str, sections: Sequence[Element]) -> str:
    """Return a page that may not load anything: all it needs is in it."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", title),
        element("style", Element(STYLE)),
    ]
    return f"<!doctype html>{element('html', element('head', *head), element('body', *sections))}\n"


def count_states(jobs: Sequence[SweepJob]) -> str:
    """Return how many jobs are in which state: 9 in total: 8 done, 1 failed."""
    states = Counter(str(job.state) for job in jobs)
    return f"{len(jobs)} in total: " + ", ".join(f"{count} {state}" for state, count in states.items() if state)


def figures_html(figures: Mapping[str, Callable[[], Any]]) -> list[Element]:
    """Return a section for each figure that is not None. Log a figure that fails: the rest matters more."""
    sections: list[Element] = []
    for caption, draw in figures.items():
        try:
            figure = escape_labels(draw())
        except Exception as error:
            log.warning("The report lacks its figure %r: %s", caption, error)
            continue
        if figure is not None:
            plot = figure.to_html(full_html=False, include_plotlyjs=not sections, config={"displaylogo": False})
            sections += [element("h2", caption), Element(plot)]
    return sections


def escape_labels(figure: Any) -> Any:
    """Return the figure with its texts escaped: plotly shows tags in them as links and styles."""
    if figure is None:
        return None
    return type(figure)(map_texts(figure.to_plotly_json()))


def map_texts(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: value if key in PLAIN_TEXTS else map_texts(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [map_texts(value) for value in node]
    return escape(printable(node), quote=False) if isinstance(node, str) else node


def leaderboard_html(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Element:
    rows = []
    for rank, point in enumerate(ranked, 1):
        best = Path(best_job(point).name).name if point.scores else ""
        rows.append([*ranking_row(rank, point, keys), best])
    return table(rows, ["rank", *short_keys(keys), metric or "score", "deviation", "seeds", "best run"])


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # Optuna 4 calls the evaluator so
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


def samples_html(sweep: SweepState, results: Results) -> Element:
    """Return one image of samples per job: the one saved nearest to the job's best score."""
    figures = []
    for job in sweep.jobs:
        result, name = results[job.number], Path(job.name).name
        images = {kimg_from_name(path): path for path in sorted((sweep.folder / job.name / "samples").glob("*.png"))}
        if not images:
            continue
        best = next((kimg for kimg, score in result.history if score == result.score), max(images))
        kimg = min(images, key=lambda kimg: abs(kimg - best))
        caption = f"{name}, {result.score:.4g} at {best:g} kimg" if result.history else name
        caption += f"; samples at {kimg:g} kimg" if kimg != best else ""
        try:
            image = element("img", src=picture_data(images[kimg], sweep.folder), alt=job.name)
        except (OSError, BadImageError) as error:
            log.warning("The report lacks the samples of %s: %s", name, error)
            continue
        figures.append(element("figure", image, element("figcaption", caption)))
    return join(figures) if figures else element("p", "none")


def picture_data(path: Path, folder: Path) -> str:
    """Return a PNG file as the source of an image. Raises OSError for a link, BadImageError for what is not a PNG.

    A picture in `folder` is not reached through a link below it either; one elsewhere not through that of its folder.
    """
    base = folder if path.is_relative_to(folder) else path.parent.parent
    if path.resolve() != base.resolve() / path.relative_to(base):
        raise OSError(f"{path} is reached through a link, which could show a file of yours.")
    content = read_bytes(path, MAX_PICTURE_BYTES)
    check_png(content, path)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def kimg_from_name(path: Path) -> float:
    """Return the kimg in the name of a samples file, such as samples-kimg000020.000.png."""
    match = re.search(r"kimg(\d+(\.\d+)?)\.png", path.name)
    return float(match[1]) if match else 0.0

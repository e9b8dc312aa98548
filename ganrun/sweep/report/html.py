"""A sweep on one page: report.html, which needs no other file and no network."""

import base64
import logging
import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from ganrun.paths import replace_text
from ganrun.sweep.naming import short_keys
from ganrun.sweep.report.ranking import PointResult, best_job, ranking_row
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob, SweepState

log = logging.getLogger(__name__)
REPORT_FILE = "report.html"
NONE = "none"  # of a setting that a point does not have
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; text-align: left }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere } code { background: #f4f4f4; padding: .1em .3em }
figure { display: inline-block; margin: .5em; vertical-align: top }
figure img { width: 240px; image-rendering: pixelated }
figcaption { max-width: 240px; font-size: 13px; overflow-wrap: anywhere }
"""


def write_report(
    known: SweepState,
    ranked: Sequence[PointResult],
    results: Mapping[int, RunResult],
    metric: str | None,
    title: str | None = None,
    name: str = REPORT_FILE,
) -> Path:
    """Writes the page and returns its path. title: in place of the folder's name and the command.

    It shows the ranking, the scores while training, the points as parallel coordinates, how much each setting matters,
    of every job the samples nearest to its best score, and what failed.
    """
    figures = {
        "Score while training": lambda: plot_scores(known, results, metric),
        "Settings and score": lambda: plot_coordinates(known, ranked, metric),
        "How much each setting matters": lambda: plot_importance(ranked),
    }
    told = count_states(known.jobs)
    command = escape(shlex.join(word for word in known.command if not word.startswith("sweep.storage=")))  # a password
    parts = [
        f"<h1>{escape(title or known.folder.name)}</h1>",
        f"<p>{told}</p>" if title else f"<p><code>ganrun train -m {command}</code><br>{told}</p>",
        "<h2>Leaderboard</h2>",
        leaderboard_html(ranked, known.keys, metric),
    ]
    is_first = True
    for title, draw in figures.items():
        if (figure := draw_or_skip(draw, title)) is not None:
            plot = figure.to_html(full_html=False, include_plotlyjs=is_first, config={"displaylogo": False})
            parts += [f"<h2>{title}</h2>", plot]
            is_first = False
    parts += ["<h2>Samples</h2>", samples_html(known, results), *failures_html(known)]
    head = f"<meta charset='utf-8'><title>{escape(known.folder.name)}</title><style>{STYLE}</style>"
    path = known.folder / name
    replace_text(path, f"<!doctype html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n")
    return path


def count_states(jobs: Sequence[SweepJob]) -> str:
    """How many jobs are in which state."""
    states = Counter(job.state for job in jobs)
    return f"{len(jobs)} in all: " + ", ".join(f"{count} {state}" for state, count in states.items() if state)


def draw_or_skip(draw: Callable, title: str):
    """A figure; none, and a word in the log, where it cannot be drawn: the numbers are worth more."""
    try:
        return draw()
    except Exception as error:
        log.warning("The report lacks its figure %r: %s", title, error)
        return None


def leaderboard_html(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> str:
    columns = ["rank", *short_keys(keys), metric or "score", "deviation", "seeds", "best run"]
    rows = ["".join(f"<th>{escape(column)}</th>" for column in columns)]
    for place, standing in enumerate(ranked, 1):
        best = Path(best_job(standing).name).name if standing.scores else ""
        rows.append("".join(f"<td>{escape(cell)}</td>" for cell in [*ranking_row(place, standing, keys), best]))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def plot_scores(known: SweepState, results: Mapping[int, RunResult], metric: str | None):
    """A line per job, a colour per point; None where nothing was scored."""
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    figure = go.Figure()
    for job in known.jobs:
        history = results[job.number].history
        if history:
            kimg, scores = zip(*history, strict=True)
            colour = qualitative.Dark24[job.point % len(qualitative.Dark24)]
            line = {"color": colour}
            figure.add_scatter(
                x=kimg, y=scores, name=Path(job.name).name, mode="lines+markers", line=line, marker={"size": 4}
            )
    figure.update_layout(xaxis_title="kimg", yaxis_title=metric, template="plotly_white", height=480)
    return figure if figure.data else None


def plot_coordinates(known: SweepState, ranked: Sequence[PointResult], metric: str | None):
    """A line per point through its settings and its mean score; None for a single point."""
    import plotly.graph_objects as go

    scored = [standing for standing in ranked if standing.scores]
    keys = [key for key in known.keys if any(key in standing.values for standing in scored)]
    if len(scored) < 2 or not keys:
        return None
    labels = zip(short_keys(keys), keys, strict=True)
    dimensions = [coordinate_axis(label, [standing.values.get(key) for standing in scored]) for label, key in labels]
    means = [standing.mean for standing in scored]
    dimensions.append({"label": metric, "values": means})
    line = {"color": means, "colorscale": "Viridis", "showscale": True}
    return go.Figure(go.Parcoords(dimensions=dimensions, line=line)).update_layout(
        height=420, margin={"l": 90, "r": 60}
    )


def coordinate_axis(label: str, words: Sequence[str | None]) -> dict:
    """An axis of parallel coordinates: of numbers, in orders of magnitude where they span two, or of words.

    Points without a value stand below the others, at a mark of their own.
    """
    given = [word for word in words if word is not None]
    try:
        numbers = [float(word) for word in given]
    except ValueError:
        names = sorted(set(given)) + [NONE] * (len(given) < len(words))
        places = [names.index(NONE if word is None else word) for word in words]
        return {"label": label, "values": places, "tickvals": list(range(len(names))), "ticktext": names}
    if min(numbers) > 0 and max(numbers) / min(numbers) >= 100:
        label, numbers = f"log10 {label}", [math.log10(number) for number in numbers]
    if len(given) == len(words):
        return {"label": label, "values": numbers}
    low, high = min(numbers), max(numbers)
    below = low - 0.15 * ((high - low) or 1)
    marks = sorted({low, (low + high) / 2, high})
    places = [below if word is None else numbers.pop(0) for word in words]
    ticks = {"tickvals": [below, *marks], "ticktext": [NONE, *(f"{mark:.3g}" for mark in marks)]}
    return {"label": label, "values": places, **ticks}


def plot_importance(ranked: Sequence[PointResult]):
    """Each setting's share in what makes a point good (PED-ANOVA, Watanabe et al. 2023); None for few points.

    Of the settings that all points have.
    """
    scored = [standing for standing in ranked if standing.scores]
    keys = [key for key in (scored[0].values if scored else ()) if all(key in s.values for s in scored)]
    keys = [key for key in keys if len({s.values[key] for s in scored}) > 1]
    if len(scored) < 8 or len(keys) < 2:
        return None
    import optuna
    import plotly.graph_objects as go
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    is_least = scored[0].mean <= scored[-1].mean
    study = optuna.create_study(direction="minimize" if is_least else "maximize")
    laws = {key: distribution_of([standing.values[key] for standing in scored]) for key in keys}
    for standing in scored:
        words = {key: standing.values[key] for key in keys}
        params = {key: word if is_choice(laws[key]) else float(word) for key, word in words.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=laws, value=standing.mean))
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    bars = go.Bar(x=list(found.values()), y=list(found), orientation="h")
    return go.Figure(bars).update_layout(
        template="plotly_white", height=160 + 40 * len(keys), yaxis_autorange="reversed"
    )


def distribution_of(words: Sequence[str]):
    """What Optuna is told that a setting may be: the span of its numbers, or its words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    try:
        values = [float(word) for word in words]
    except ValueError:
        return CategoricalDistribution(sorted(set(words)))
    low, high = min(values), max(values)
    return FloatDistribution(low, high, log=low > 0 and high / low >= 100)


def is_choice(law) -> bool:
    return hasattr(law, "choices")


def samples_html(known: SweepState, results: Mapping[int, RunResult]) -> str:
    """A picture of every job, the one nearest to its best score."""
    shown = []
    for job in known.jobs:
        result = results[job.number]
        pictures = {kimg_from_name(path): path for path in sorted((known.folder / job.name / "samples").glob("*.png"))}
        if not pictures:
            continue
        best = next((kimg for kimg, score in result.history if score == result.score), max(pictures))
        kimg = min(pictures, key=lambda kimg: abs(kimg - best))
        data = base64.b64encode(pictures[kimg].read_bytes()).decode()
        told = f"{Path(job.name).name}, {result.score:.4g} at {best:g} kimg" if result.history else Path(job.name).name
        told += f"; picture at {kimg:g}" if kimg != best else ""
        image = f"<img src='data:image/png;base64,{data}' alt='{escape(job.name)}'>"
        shown.append(f"<figure>{image}<figcaption>{escape(told)}</figcaption></figure>")
    return "".join(shown) or "<p>none</p>"


def kimg_from_name(picture: Path) -> float:
    """The thousands of images after which a picture was taken, which its name tells: samples-kimg000020.000.png."""
    found = re.search(r"kimg([\d.]+)\.png", picture.name)
    return float(found[1]) if found else 0.0


def failures_html(known: SweepState) -> list[str]:
    """What failed, with its last words."""
    failed = [job for job in known.jobs if job.state in ("failed", "refused")]
    rows = "".join(f"<tr><td>{escape(job.name)}</td><td>{escape(job.error)}</td></tr>" for job in failed)
    return [f"<h2>Failures</h2><table>{rows}</table>"] if failed else []

"""The figures of a report: scores during training, settings against scores, importance of the settings."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from ganrun.metrics.scores.declarations import better_direction
from ganrun.sweep.naming import short_keys
from ganrun.sweep.report.ranking import PointResult, point_name
from ganrun.sweep.report.results import Curve

# A colour for each of the best points; the others are grey. Plotly's D3 and Dark24 without the nearly equal ones.
COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#222a2a"),
    *("#b68100", "#750d86", "#00a08b", "#fb0d0d", "#511cfb", "#862a16", "#6c4516", "#af0038", "#0d2a63", "#778ae9"),
)
GREY = "#bbbbbb"
MAX_READINGS = 40_000  # in a figure: ten bytes each, in the page
UNSET = "none"  # shown for a setting that a point does not have
LOG_RANGE = 20  # scores that span more are drawn on a logarithmic axis


def colour_of(place: int) -> str:
    """Return the colour of the point at a place of the ranking, from 0."""
    return COLOURS[place] if place < len(COLOURS) else GREY


def plot_scores(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Any:
    """Return a line per point, the mean over its seeds, and a band from the lowest to the highest of them.

    A menu selects the score: `metric`, or another that was measured in the same way in all runs. None without scores.
    """
    import plotly.graph_objects as go

    names = comparable_scores(ranked, metric)
    if not names:
        return None
    figure, owners = go.Figure(), []
    longest = max(5, MAX_READINGS // (len(names) * len(ranked)))
    for name in names:
        for place, point in enumerate(ranked):
            traces = point_traces(point, name, point_name(point, keys), colour_of(place), longest)
            owners += [name] * len(traces)
            figure.add_traces([go.Scatter(**trace, visible=name == names[0]) for trace in traces])
    figure.update_layout(xaxis_title="kimg", template="plotly_white", height=480, margin={"t": 70})
    figure.update_yaxes(title_text=axis_title(names[0]), type=axis_type(ranked, names[0]))
    shown = [
        {
            "label": name,
            "method": "update",
            "args": [
                {"visible": [owner == name for owner in owners]},
                {"yaxis.title.text": axis_title(name), "yaxis.type": axis_type(ranked, name)},
            ],
        }
        for name in names
    ]
    scales = [{"label": kind, "method": "relayout", "args": [{"yaxis.type": kind}]} for kind in ("linear", "log")]
    menus = [{"buttons": shown, "x": 0, "xanchor": "left", "y": 1.16}] if len(names) > 1 else []
    menus += [{"buttons": scales, "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.16}]
    return figure.update_layout(
        updatemenus=[{"showactive": not k and len(menus) > 1, **m} for k, m in enumerate(menus)]
    )


def comparable_scores(ranked: Sequence[PointResult], metric: str | None) -> list[str]:
    """Return the scores that were measured in the same way in all runs that have them, `metric` first."""
    protocols: dict[str, list[Mapping]] = {}
    for point in ranked:
        for job in point.jobs:
            for name, curve in point.results[job.number].curves.items():
                protocols.setdefault(name, []).append(curve.protocol)
    names = [name for name, found in protocols.items() if all(protocol == found[0] for protocol in found)]
    return sorted(names, key=lambda name: (name != metric, names.index(name)))


def point_traces(point: PointResult, name: str, label: str, colour: str, longest: int) -> list[dict]:
    """Return the line of a point and, for several seeds, the band behind it."""
    curves = [point.results[job.number].curves.get(name, Curve()) for job in point.jobs]
    readings = merge_seeds([curve for curve in curves if curve.readings], longest)
    if not readings:
        return []
    kimg, low, middle, high = ([rounded(value) for value in column] for column in zip(*readings, strict=True))
    in_legend = colour != GREY
    line = {"x": kimg, "y": middle, "name": label, "legendgroup": label, "line": {"color": colour, "width": 2}}
    line |= {"mode": "lines+markers" if len(kimg) < 40 else "lines", "marker": {"size": 4}, "showlegend": in_legend}
    if low == high or not in_legend:
        return [line]
    band = {"x": [*kimg, *reversed(kimg)], "y": [*high, *reversed(low)], "fill": "toself", "fillcolor": colour}
    band |= {"opacity": 0.2, "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": label}
    return [{**band, "mode": "lines"}, line]


def merge_seeds(curves: Sequence[Curve], longest: int) -> list[tuple[float, float, float, float]]:
    """Return (kimg, lowest, mean, highest) over the seeds, at no more than about `longest` of the kimg that all have.

    If the seeds share fewer than two, as those of runs that ended early do, those of any seed.
    """
    values: dict[float, list[float]] = {}
    for curve in curves:
        for kimg, score in curve.readings:
            if math.isfinite(score):
                values.setdefault(kimg, []).append(score)
    shared = [kimg for kimg, scores in sorted(values.items()) if len(scores) >= len(curves)]
    marks = shared if len(shared) > 1 else sorted(values)
    return [(kimg, min(values[kimg]), mean(values[kimg]), max(values[kimg])) for kimg in thin(marks, longest)]


def thin(marks: Sequence[float], longest: int) -> Iterator[float]:
    """Yield the first, the last and every k-th of the marks, about `longest` in all."""
    step = math.ceil(len(marks) / longest)
    return (mark for k, mark in enumerate(marks) if k % step == 0 or k == len(marks) - 1)


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def axis_title(name: str) -> str:
    direction = better_direction(name)
    return f"{name} ({direction} is better)" if direction else name


def axis_type(ranked: Sequence[PointResult], name: str) -> str:
    """Return "log" for positive scores that span a factor of 20 or more: those of an untrained model are large."""
    curves = (point.results[job.number].curves.get(name, Curve()) for point in ranked for job in point.jobs)
    scores = [score for curve in curves for _, score in curve.readings if math.isfinite(score)]
    return "log" if scores and min(scores) > 0 and max(scores) > LOG_RANGE * min(scores) else "linear"


def plot_settings(ranked: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Any:
    """Return the scores against the settings that vary; None for a single point.

    One setting: a mark per run. Several: parallel coordinates, a line per point through its settings and mean score.
    """
    scored = [point for point in ranked if point.scores]
    keys = [key for key in keys if any(key in point.values for point in scored)]
    if len(scored) < 2 or not keys:
        return None
    return plot_one_setting(scored, keys[0], metric) if len(keys) == 1 else plot_coordinates(scored, keys, metric)


def plot_one_setting(scored: Sequence[PointResult], key: str, metric: str | None) -> Any:
    """Return a mark per seed, in the colour of its point, and a line across at the point's mean."""
    import plotly.graph_objects as go

    axis = coordinate_axis(key, [point.values.get(key) for point in scored])
    figure = go.Figure()
    for place, (x, point) in enumerate(zip(axis["values"], scored, strict=True)):
        marker, label = {"color": colour_of(place), "size": 9}, point_name(point, [key])
        figure.add_scatter(x=[x] * len(point.scores), y=point.scores, mode="markers", marker=marker, name=label)
        dash = {"symbol": "line-ew", "size": 24, "line": {"color": colour_of(place), "width": 2}}
        figure.add_scatter(x=[x], y=[point.mean], mode="markers", marker=dash, name=f"mean of {label}")
    ticks = {"tickvals": axis["tickvals"], "ticktext": axis["ticktext"]} if "ticktext" in axis else {}
    figure.update_xaxes(title_text=axis["label"], **ticks)
    figure.update_yaxes(title_text=axis_title(metric or "score"))
    return figure.update_layout(template="plotly_white", height=380, showlegend=False)


def plot_coordinates(scored: Sequence[PointResult], keys: Sequence[str], metric: str | None) -> Any:
    """Return parallel coordinates: a line per point through its settings and mean score."""
    import plotly.graph_objects as go

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

"""The result of a sweep job, read from its run folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import is_number
from ganrun.metrics.scores.declarations import better_direction, comparable_protocol, error_name
from ganrun.sweep.job_state import JobState
from ganrun.training.metric_lines import split_metrics
from ganrun.training.run_folder import read_config, read_status


@dataclass
class Curve:
    """The values of a score during a training. They compare with those of another run if the protocols are equal."""

    protocol: dict[str, Any] = field(default_factory=dict)
    readings: list[tuple[float, float]] = field(default_factory=list)  # (kimg, score)

    def append(self, kimg: float, score: float, protocol: dict[str, Any]) -> None:
        """Add a reading; forget those that were measured in another way."""
        if protocol != self.protocol:
            self.protocol, self.readings = protocol, []
        self.readings.append((kimg, score))


@dataclass
class RunResult:
    """What a run has achieved so far; all defaults if there is no run."""

    state: JobState = JobState.UNKNOWN
    kimg: float = 0.0
    seconds: float = 0.0
    metric: str | None = None  # the score that ranks the run
    mode: str = "min"  # or "max", whichever values of it are better
    score: float = math.nan  # its best value
    protocol: dict[str, str] = field(default_factory=dict)  # scores are ranked together only if theirs are equal
    history: list[tuple[float, float]] = field(default_factory=list)  # (kimg, score), all of the protocol
    seed: int | None = None
    precision: str | None = None  # of the training, in Lightning's notation
    latest_kimg: float = 0.0  # read from metrics.jsonl, which is ahead of status.json
    curves: dict[str, Curve] = field(default_factory=dict)  # of every score of which one direction is better
    error: float = math.nan  # the newest standard error of `metric`, over sets of samples; NaN if there is none

    @property
    def cost(self) -> float:
        """The score, negated if higher is better."""
        return self.score if self.mode == "min" else -self.score


Results = Mapping[int, RunResult]  # by job number


def load_result(folder: Path, metric: str | None = None, mode: str | None = None) -> RunResult:
    """Return the result in a run folder; an empty one if its config.yaml is missing or damaged.

    Without a status.json it has no state, but the scores of metrics.jsonl.
    metric, mode: instead of those that the run's own metrics name.
    """
    try:
        return read_result(folder, metric, mode)
    except (OSError, ValueError, KeyError):
        return RunResult()


def read_result(folder: Path, metric: str | None, mode: str | None) -> RunResult:
    """Like `load_result`. Raises OSError, ValueError or KeyError if a file is missing or damaged."""
    status, config = read_status(folder), read_config(folder)
    better = mode or (score_mode(metric) if metric else saved_setting(config, "metrics.mode", str)) or "min"
    metric = metric or saved_setting(config, "metrics.monitor", str)
    state = JobState(status.get("state", ""))
    result = RunResult(
        state, status.get("kimg", 0.0), status.get("seconds", 0.0), metric, "max" if better == "max" else "min"
    )
    result.seed, result.precision = saved_setting(config, "seed", int), status.get("precision")
    result.curves, result.latest_kimg, scores = read_curves(folder / "metrics.jsonl", metric)
    result.error = scores.get(error_name(metric or ""), math.nan)
    ranked_by = result.curves.get(metric or "", Curve())
    result.history, result.protocol = ranked_by.readings, ranked_by.protocol
    if result.history:
        data = {name: saved_setting(config, f"data.{name}", (str, int)) for name in ("name", "size")}
        entries = {"score": metric, "data": data["name"], "size": data["size"], **result.protocol}
        result.protocol = {key: str(value) for key, value in entries.items() if value is not None}
    scores = [score for _, score in result.history if math.isfinite(score)]
    if scores:
        result.score = min(scores) if result.mode == "min" else max(scores)
    return result


def read_curves(path: Path, metric: str | None) -> tuple[dict[str, Curve], float, dict[str, float]]:
    """Return the curves in a metrics.jsonl, the kimg of its last line and the newest value of each score.

    The curves are those of scores of a known direction and of `metric`.
    """
    curves: dict[str, Curve] = {}
    newest: dict[str, float] = {}
    kimg, measured, own = 0.0, {}, {}
    for _, at, line in split_metrics(path):
        kimg = at
        if line is None or "protocol" not in line:
            continue
        if line["protocol"] != measured:
            measured, own = line["protocol"], {}
        for name in (name for name, score in line.items() if is_number(score)):
            newest[name] = line[name]
            if name not in own:
                is_shown = name == metric or better_direction(name)
                own[name] = comparable_protocol(name, measured) if is_shown else None
            if own[name] is not None:
                curves.setdefault(name, Curve()).append(line["kimg"], line[name], own[name])
    return curves, kimg, newest


def saved_setting(config: Mapping, key: str, kind: type | tuple[type, ...]) -> Any:
    """Return a setting of a saved config; None if it has another type or is missing."""
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, kind) else None


def score_mode(metric: str) -> str | None:
    """Return "min" or "max", whichever values of a score are better by its name; None if the name does not say."""
    return {"lower": "min", "higher": "max"}.get(better_direction(metric))

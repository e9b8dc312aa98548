"""The result of a sweep job, read from its run folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yaml import YAMLError

from ganrun.metrics.scores.declarations import better_direction, comparable_protocol
from ganrun.sweep.job_state import JobState
from ganrun.training.run_folder import read_config, read_status
from ganrun.training.run_record import read_metric_lines


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
    history: list[tuple[float, float]] = field(default_factory=list)  # (kimg, score) of every evaluation
    seed: int | None = None
    latest_kimg: float = 0.0  # read from metrics.jsonl, which is ahead of status.json

    @property
    def cost(self) -> float:
        """The score, negated if higher is better."""
        return self.score if self.mode == "min" else -self.score


Results = Mapping[int, RunResult]  # by job number


def load_result(folder: Path, metric: str | None = None, mode: str | None = None) -> RunResult:
    """Return the result in a run folder. metric, mode: instead of those that the run's own metrics name.

    All defaults if there is no run, or if its files hold what no run writes, such as a text where a number belongs.
    """
    try:
        return parse_result(folder, metric, mode)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, YAMLError):
        return RunResult()


def parse_result(folder: Path, metric: str | None, mode: str | None) -> RunResult:
    status, config = read_status(folder), read_config(folder)
    state, metrics = JobState(status["state"]), config.get("metrics") or {}
    better = mode or (score_mode(metric) if metric else metrics.get("mode")) or "min"
    metric = metric or (metrics.get("monitor") and str(metrics.get("monitor")))
    kimg, seconds = float(status.get("kimg", 0)), float(status.get("seconds", 0))
    result = RunResult(state, kimg, seconds, metric, "max" if better == "max" else "min")
    result.seed = seed if isinstance(seed := config.get("seed"), int) else None
    for line in read_metric_lines(folder / "metrics.jsonl"):
        result.latest_kimg = float(line.get("kimg", result.latest_kimg))
        if metric and "protocol" in line and metric in line:
            result.history.append((float(line["kimg"]), float(line[metric])))
            result.protocol = comparable_protocol(metric, line["protocol"])
    if result.history:
        data = config.get("data") or {}
        entries = {"score": metric, "data": data.get("name"), "size": data.get("size"), **result.protocol}
        result.protocol = {key: str(value) for key, value in entries.items() if value is not None}
    scores = [score for _, score in result.history if math.isfinite(score)]
    if scores:
        result.score = min(scores) if result.mode == "min" else max(scores)
    return result


def score_mode(metric: str) -> str | None:
    """Return "min" or "max", whichever values of a score are better by its name; None if the name does not say."""
    return {"lower": "min", "higher": "max"}.get(better_direction(metric))

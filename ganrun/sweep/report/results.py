"""The result of a sweep job, read from its run folder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    """Return the result in a run folder. metric, mode: instead of those that the run's own metrics name."""
    try:
        status, config = read_status(folder), read_config(folder)
        state = JobState(status["state"])
    except (OSError, ValueError, KeyError):
        return RunResult()
    metrics = config.get("metrics") or {}
    better = mode or (score_mode(metric) if metric else metrics.get("mode")) or "min"
    metric = metric or metrics.get("monitor")
    result = RunResult(state, status.get("kimg", 0.0), status.get("seconds", 0.0), metric, better)
    result.seed = config.get("seed")
    for line in read_metric_lines(folder / "metrics.jsonl"):
        result.latest_kimg = line.get("kimg", result.latest_kimg)
        if metric and "protocol" in line and metric in line:
            result.history.append((line["kimg"], line[metric]))
            result.protocol = comparable_protocol(metric, line["protocol"])
    if result.history:
        data = config.get("data") or {}
        entries = {"score": metric, "data": data.get("name"), "size": data.get("size"), **result.protocol}
        result.protocol = {key: str(value) for key, value in entries.items() if value is not None}
    scores = [score for _, score in result.history if math.isfinite(score)]
    if scores:
        result.score = min(scores) if better == "min" else max(scores)
    return result


def score_mode(metric: str) -> str | None:
    """Return "min" or "max", whichever values of a score are better by its name; None if the name does not say."""
    return {"lower": "min", "higher": "max"}.get(better_direction(metric))

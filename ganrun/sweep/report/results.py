"""The result of a sweep job, read from its run folder."""

import json
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
    """What a run has achieved so far; all defaults if there is no run.

    metric, mode: the score that ranks the run, and which values are better ("min" or "max").  score: its best value,
    NaN if there is none.  protocol: how it was measured; scores with different protocols are not ranked together.
    history: (kimg, score) of every evaluation.
    """

    state: JobState = JobState.UNKNOWN
    kimg: float = 0.0
    seconds: float = 0.0
    metric: str | None = None
    mode: str = "min"
    score: float = math.nan
    protocol: dict[str, str] = field(default_factory=dict)
    history: list[tuple[float, float]] = field(default_factory=list)
    seed: int | None = None

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
    if metric is None:
        return result
    for line in read_metric_lines(folder / "metrics.jsonl"):
        if "protocol" in line and metric in line:
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


def latest_kimg(folder: Path) -> float:
    """Return the thousands of images that a run has seen, from the last complete line of its metrics.jsonl."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        return next(json.loads(line)["kimg"] for line in reversed(lines) if line.endswith("}") and line[:1] == "{")
    except (OSError, ValueError, KeyError, StopIteration):
        return 0.0

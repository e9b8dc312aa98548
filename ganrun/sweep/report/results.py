"""What a job of a sweep came to, as its run folder tells."""

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganrun.metrics.scores.direction import better_direction
from ganrun.training.run_record import read_metric_lines

# What scores may differ in and still be ranked: what follows from the run, and what other scores need
FREE = ("floor", "averaged_weights", "kid_", "prdc_", "is_splits", "intra_", "accuracy")


@dataclass
class RunResult:
    """state: of status.json; "" where there is no run.  metric, mode: by which the run names its best, mode min or max.

    score: its best value of the metric, NaN if there is none.  protocol: how it was measured, empty if there is none;
    scores of different protocols are not to be ranked together.
    """

    state: str = ""
    kimg: float = 0.0
    seconds: float = 0.0
    metric: str | None = None
    mode: str = "min"
    score: float = math.nan
    protocol: dict[str, str] = field(default_factory=dict)
    history: list[tuple[float, float]] = field(default_factory=list)  # (kimg, value of the metric)
    seed: int | None = None

    @property
    def cost(self) -> float:
        """The score, or minus it where higher ones are better."""
        return self.score if self.mode == "min" else -self.score


def load_result(folder: Path, metric: str | None = None, mode: str | None = None) -> RunResult:
    """The result in a run folder. metric, mode: in place of those that the run's own metrics name."""
    try:
        status = json.loads((folder / "status.json").read_text())
        config = config_of(folder / "config.yaml", (folder / "config.yaml").stat().st_mtime_ns)
    except (OSError, ValueError):
        return RunResult()
    metrics = config.get("metrics") or {}
    mode = mode or (score_mode(metric) if metric else metrics.get("mode")) or "min"
    metric = metric or metrics.get("monitor")
    found = RunResult(status.get("state", ""), status.get("kimg", 0.0), status.get("seconds", 0.0), metric, mode)
    found.seed = config.get("seed")
    for line in read_metric_lines(folder / "metrics.jsonl"):
        if "protocol" in line and metric in line:
            found.history.append((line["kimg"], line[metric]))
            found.protocol = score_protocol(metric, config, line["protocol"])
    values = [value for _, value in found.history if math.isfinite(value)]
    if values:
        found.score = min(values) if mode == "min" else max(values)
    return found


@lru_cache(4096)
def config_of(path: Path, written: int) -> DictConfig:
    """The config of a run, read once as long as it stays as it was written."""
    return OmegaConf.load(path)


def score_mode(metric: str) -> str | None:
    """min or max, which values of a score are better by its name; None where neither is."""
    return {"lower": "min", "higher": "max"}.get(better_direction(metric))


def score_protocol(metric: str, config: DictConfig, protocol: dict) -> dict[str, str]:
    """What a score is and how it was measured, in words."""
    data = config.get("data") or {}
    told = {"score": metric, "data": data.get("name"), "size": data.get("size")}
    told |= {key: value for key, value in protocol.items() if not key.startswith(FREE)}
    return {key: str(value) for key, value in told.items() if value is not None}


def latest_kimg(folder: Path) -> float:
    """Thousands of images that a run has seen by its newest line."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        return next(json.loads(line)["kimg"] for line in reversed(lines) if line.endswith("}") and line[:1] == "{")
    except (OSError, ValueError, KeyError, StopIteration):
        return 0.0

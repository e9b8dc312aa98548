"""What a job of a sweep came to, as its run folder tells."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from ganrun.record import read_lines


@dataclass
class Result:
    """state: of status.json; "" where there is no run.  metric, mode: by which the run names its best, mode min or max.

    score: its best value of the metric, nan where there is none.  protocol: how it was measured.
    """

    state: str = ""
    kimg: float = 0.0
    seconds: float = 0.0
    metric: str | None = None
    mode: str = "min"
    score: float = math.nan
    protocol: dict = field(default_factory=dict)
    history: list[tuple[float, float]] = field(default_factory=list)  # (kimg, value of the metric)


def read(folder: Path, metric: str | None = None, mode: str | None = None) -> Result:
    """The result in a run folder. metric, mode: in place of those that the run's own metrics name."""
    try:
        status = json.loads((folder / "status.json").read_text())
        metrics = OmegaConf.load(folder / "config.yaml").get("metrics") or {}
    except (OSError, ValueError):
        return Result()
    metric, mode = metric or metrics.get("monitor"), mode or metrics.get("mode") or "min"
    found = Result(status["state"], status["kimg"], status["seconds"], metric, mode)
    for line in read_lines(folder / "metrics.jsonl"):
        if "protocol" in line and metric in line:
            found.history.append((line["kimg"], line[metric]))
            found.protocol = line["protocol"]
    values = [value for _, value in found.history if math.isfinite(value)]
    if values:
        found.score = min(values) if mode == "min" else max(values)
    return found


def progress(folder: Path) -> float:
    """Thousands of images that a run has seen by its newest line."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = file.read().decode(errors="replace").splitlines()
        return next(json.loads(line)["kimg"] for line in reversed(lines) if line.endswith("}") and line[:1] == "{")
    except (OSError, ValueError, KeyError, StopIteration):
        return 0.0

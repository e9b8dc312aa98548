"""What a list of runs shows of each: read from small files, without its config or checkpoints. Needs no torch."""

import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import is_amount, is_number
from ganrun.files import open_regular
from ganrun.training.lock import read_owner
from ganrun.training.manifest import Manifest
from ganrun.training.metric_lines import parse_line
from ganrun.training.run_folder import STATUS, read_status
from ganrun.training.runs.disk import DiskUse, measure_disk
from ganrun.training.runs.states import RunState, last_change, observe_state
from ganrun.training.runs.tags import read_tags

TAIL = 2**16  # bytes at the end of metrics.jsonl that tell how far a run is
LIMIT_LINE = re.compile(rb"^(kimg|minutes): ([\d.e+]+)\s*$", re.MULTILINE)


@dataclass
class RunOverview:
    """A run at one moment.

    kimg_limit, minutes_limit: where it ends; None where it does not or that is unknown.  seconds_left: NaN if unknown.
    metric: the score that selects the best checkpoint.  score, last_score: its best and last value; NaN without one.
    images_per_second: without the time of scores and pictures.  problem: what of the run is damaged.
    """

    folder: Path
    state: RunState
    kimg: float = 0.0
    kimg_limit: float | None = None
    minutes_limit: float | None = None
    seconds: float = 0.0
    images_per_second: float = 0.0
    seconds_left: float = math.nan
    metric: str | None = None
    score: float = math.nan
    last_score: float = math.nan
    device: str = ""
    host: str = ""
    pid: int | None = None
    model: str = ""
    data: str = ""
    tags: list[str] = field(default_factory=list)
    disk: DiskUse = field(default_factory=DiskUse)
    changed: float = 0.0
    problem: str = ""

    @property
    def share(self) -> float:
        """How much of the training is done, between 0 and 1; NaN if its length is unknown."""
        shares = [self.kimg / self.kimg_limit] if self.kimg_limit else []
        shares += [self.seconds / 60 / self.minutes_limit] if self.minutes_limit else []
        return min(1.0, max(shares)) if shares else math.nan


def read_overview(folder: Path) -> RunOverview:
    """Return what the small files of a run folder say. Never fails: what is damaged is left out, and named."""
    status = {} if (folder / STATUS).is_symlink() else read_status(folder)
    run = RunOverview(folder, observe_state(folder, status), disk=measure_disk(folder), changed=last_change(folder))
    run.problem = describe_problem(folder) if run.state == RunState.DAMAGED else ""
    take_status(run, status)
    run.tags = read_tags(folder)
    if run.metric is None and "monitor" not in status:  # written by an earlier version
        take_manifest(run)
    if run.state.is_live or run.state == RunState.DEAD:
        take_tail(run)
    if run.state.is_live:
        take_owner(run, status)
    return run


def describe_problem(folder: Path) -> str:
    """Return why a run has no status that can be used."""
    try:
        with open_regular(folder / STATUS):
            return f"{STATUS} is damaged"
    except OSError as error:
        return f"{STATUS} cannot be read: {error.strerror or 'it is not a regular file'}"


def take_status(run: RunOverview, status: Mapping[str, Any]) -> None:
    run.kimg, run.seconds = status.get("kimg", 0.0), status.get("seconds", 0.0)
    run.images_per_second = status.get("images_per_second", 0.0)
    limit, choices = status.get("limit", {}), status.get("choices", {})
    run.kimg_limit, run.minutes_limit = limit.get("kimg"), limit.get("minutes")
    run.model, run.data = choices.get("model", ""), choices.get("data", "")
    run.device, run.host = status.get("device", ""), status.get("host", "")
    run.metric = status.get("monitor")
    for name, key in (("score", "best"), ("last_score", "last")):
        value = status.get(key, {}).get(run.metric)
        setattr(run, name, value if is_number(value) else math.nan)


def take_manifest(run: RunOverview) -> None:
    """Take the monitored score from the manifest of the checkpoints."""
    with suppress(OSError):
        manifest = Manifest.read(run.folder / "checkpoints")
        run.metric = manifest.monitor
        for name, role in (("score", "best"), ("last_score", "last")):
            value = (manifest.scores.get(role) or {}).get("value")
            setattr(run, name, value if is_number(value) else math.nan)


def take_tail(run: RunOverview) -> None:
    """Take the newest lines of metrics.jsonl, which are ahead of status.json: how far the run is, and how fast."""
    lines = read_tail(run.folder / "metrics.jsonl")
    points = [point for order in (lines, lines[::-1]) if (point := first_point(order))]
    if not points:
        return
    run.kimg, run.seconds = max(points[-1][0], run.kimg), max(points[-1][1], run.seconds)
    kimg, seconds = points[-1][0] - points[0][0], points[-1][1] - points[0][1]
    pace = kimg / seconds if kimg > 0 and seconds > 0 else run.kimg / run.seconds if run.seconds else 0.0
    run.images_per_second = run.images_per_second or 1000 * pace
    if run.state.is_live:
        run.seconds_left = seconds_left(run, pace)


def first_point(lines: Iterable[bytes]) -> tuple[float, float] | None:
    """Return (kimg, seconds) of the first line that has both; a line may be damaged. None if there is none."""
    for text in lines:
        with suppress(ValueError):
            line = parse_line(text)
            if is_amount(line.get("time")):
                return line["kimg"], line["time"]
    return None


def read_tail(path: Path) -> list[bytes]:
    """Return the last whole lines of a metrics.jsonl; none if it cannot be read."""
    try:
        with open_regular(path) as file:
            start = file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read(TAIL).split(b"\n")[bool(start) : -1]
    except OSError:
        return []


def seconds_left(run: RunOverview, pace: float) -> float:
    """Return the seconds until a run ends. pace: kimg per second, with scores and pictures."""
    if run.kimg_limit is None and run.minutes_limit is None:
        read_limits(run)
    ahead = [max(0.0, run.kimg_limit - run.kimg) / pace] if run.kimg_limit and pace else []
    ahead += [max(0.0, 60 * run.minutes_limit - run.seconds)] if run.minutes_limit else []
    return min(ahead, default=math.nan)


def read_limits(run: RunOverview) -> None:
    """Take the length of a run from its config.yaml, if its status.json is of an earlier version."""
    with suppress(OSError, ValueError), open_regular(run.folder / "config.yaml") as file:
        found = {name: float(value) for name, value in LIMIT_LINE.findall(file.read(TAIL))}
        run.kimg_limit, run.minutes_limit = found.get(b"kimg"), found.get(b"minutes")


def take_owner(run: RunOverview, status: Mapping[str, Any]) -> None:
    """Take who holds the lock, as its file says; a run that has just been resumed has an older status."""
    owner = read_owner(run.folder)
    run.host, run.pid = owner.get("host") or run.host, owner.get("pid") or status.get("pid")

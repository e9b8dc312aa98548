"""The record of a run: its clock and scores, and the files config.yaml, status.json and metrics.jsonl."""

import logging
import math
import os
import platform
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun.config.interpolations import resolved_copy
from ganrun.config.json_forms import is_number
from ganrun.errors import ganrun_command
from ganrun.files import (
    open_append,
    replace_text,
    replacing,
    to_json,
    write_json,
)
from ganrun.metrics.scores.declarations import comparable_protocol
from ganrun.training.callbacks.length import kimg_limit
from ganrun.training.diagnosis import Diagnosis, Evidence, diagnose
from ganrun.training.metric_lines import parse_line, split_metrics
from ganrun.training.run_folder import STATUS, git_commit, package_versions

log = logging.getLogger(__name__)
READINGS = 1000  # the diagnosis uses this many of the newest points of the loss curves


class RunRecord:
    """Counts images, time and scores of a run, and writes its files in the main process.

    choices: the choice in each config group.  precision: of the training, in Lightning's notation.
    best, last: scores with their kimg.  monitor: the score that selects the best checkpoint, None without scores.
    history: (kimg, value of monitor) of each scoring by the newest protocol.
    """

    def __init__(
        self, folder: Path, cfg: DictConfig, choices: Mapping[str, str], precision: str, is_main_process: bool = True
    ):
        self.folder, self.monitor, self.mode = folder, cfg.metrics.monitor, cfg.metrics.mode
        self.is_main_process = is_main_process
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.history: list[tuple[float, float]] = []
        self.measured = ""  # the protocol of the scores in `history`, as JSON
        self.readings: deque[Mapping[str, float]] = deque(maxlen=READINGS)
        self.collapsed: str | None = None
        self.untrained: float | None = None  # the monitored score of the model before its training, where it matters
        self.has_opponents = True  # else few steps may be enough, as those of expectation maximization
        self.joint_batch = cfg.get("batch_size", 1) * cfg.get("accumulate", 1)  # as in build_data
        self.kimg, self.minutes = kimg_limit(cfg.kimg), cfg.minutes
        self.images = self.first = 0  # seen, and at the start of the clock
        self.overhead_seconds = 0.0
        self.start = time.monotonic()
        self.facts = {"host": platform.node(), "pid": os.getpid(), "threads": torch.get_num_threads()}
        self.facts |= {
            "precision": str(precision),
            "versions": package_versions(),
            "commit": git_commit(),
            "choices": dict(choices),
            "monitor": self.monitor,
            "limit": {"kimg": cfg.kimg, "minutes": cfg.minutes},
        }
        if is_main_process:
            write_config(folder, cfg)

    @property
    def seconds(self) -> float:
        """Time since the start of the run."""
        return time.monotonic() - self.start

    @property
    def images_per_second(self) -> float:
        """Speed of the training, without the time of scores, pictures and checkpoints."""
        return (self.images - self.first) / max(self.seconds - self.overhead_seconds, 1e-9)

    @contextmanager
    def outside_training(self) -> Iterator[None]:
        """Count the time within as overhead, not as training."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.overhead_seconds += time.monotonic() - start

    def restart_clock(self, seconds: float = 0.0, overhead_seconds: float = 0.0, first: int = 0) -> None:
        """Start the clock after `first` images, or continue it after `seconds` of a run that was interrupted."""
        self.start, self.overhead_seconds, self.first = time.monotonic() - seconds, overhead_seconds, first

    def restore(self, images: int) -> None:
        """Restore scores and curves from metrics.jsonl up to `images`. Drop later lines, and scores of the end."""
        path, limit = self.folder / "metrics.jsonl", images / 1000
        self.images = images
        newest: deque[bytes] = deque(maxlen=READINGS)
        with replacing(path) if self.is_main_process else nullcontext(os.devnull) as copy, open(copy, "wb") as file:
            for text, kimg, line in split_metrics(path):
                if line is None and kimg <= limit:
                    newest.append(text)
                    file.write(text)
                elif line is not None and self._is_restored(line, limit):
                    self._restore_line(line, newest, text)
                    file.write((to_json(line) + "\n").encode())
        for text in newest:
            with suppress(ValueError):
                self.readings.append(numbers_of(parse_line(text)))

    def _is_restored(self, line: Mapping, kimg: float) -> bool:
        """Whether to keep a line. At the end of the training, its scores are left out: they are computed again."""
        is_final = kimg >= self.kimg and line["kimg"] >= kimg and "protocol" in line
        return line["kimg"] <= kimg and "last" not in line and not is_final

    def _restore_line(self, line: Mapping, newest: deque[bytes], text: bytes) -> None:
        if "protocol" in line:
            self._apply_scores({"kimg": line["kimg"], **numbers_of(line)}, line["protocol"])
        else:
            newest.append(text)

    def restore_best(self, monitor: str | None, best: Any) -> None:
        """Take over the best score of a manifest if metrics.jsonl lacks it.  best: {"kimg", "value"}, or None."""
        entries = best if isinstance(best, dict) and monitor == self.monitor else {}
        kimg, value = entries.get("kimg"), entries.get("value")
        if isinstance(kimg, int | float) and isinstance(value, int | float) and 1000 * kimg <= self.images:
            self._compare_best({"kimg": kimg, str(monitor): value})

    def add_curves(self, images: int, curves: Mapping[str, float]) -> None:
        """Add a reading of the loss curves after `images`."""
        self.readings.append(curves)
        self.append_line({"kimg": images / 1000, **curves})

    def add_scores(
        self, images: int, scores: Mapping[str, float], protocol: dict, collapsed: str | None = None
    ) -> None:
        """Add the scores after `images`. collapsed: why the samples count as collapsed, None if they do not."""
        self.images, self.collapsed = images, collapsed
        scores = {name: plain_number(score) for name, score in scores.items()}  # a user's may be NumPy's
        self._apply_scores({"kimg": images / 1000, **scores}, protocol)
        self.append_line({**self.last, "protocol": protocol})
        self.write_status("running")

    def _apply_scores(self, scores: dict[str, float], protocol: Mapping) -> None:
        """Record scores, which include their kimg, as the last ones, and as the best if they are better.

        Scores of another protocol than before, say of an older ganrun, are compared only with those that follow.
        """
        self.last = scores
        if self.monitor in scores:
            measured = to_json(comparable_protocol(self.monitor, protocol), default=plain_number)
            if self.history and measured != self.measured:
                message = "From %g kimg on %s is measured in another way; the best checkpoint is chosen anew"
                log.warning(message, scores["kimg"], self.monitor)
                self.history, self.best = [], {}
            self.measured = measured
            self.history.append((scores["kimg"], scores[self.monitor]))
            self._compare_best(scores)

    def _compare_best(self, scores: dict[str, float]) -> None:
        value, sign = scores[self.monitor], 1 if self.mode == "max" else -1
        if math.isfinite(value) and (not self.best or sign * value > sign * self.best[self.monitor]):
            self.best = scores

    def append_line(self, line: Mapping) -> None:
        """Append a line to metrics.jsonl."""
        if self.is_main_process:
            text = to_json({"time": round(self.seconds, 3), **line}, default=plain_number) + "\n"
            with open_append(self.folder / "metrics.jsonl") as file:
                file.write(text.encode())

    def diagnosis(self) -> Diagnosis:
        """Return how the training went so far."""
        command = ganrun_command("resume", self.folder)  # doubles the limit that ended the run, if any
        if self.images >= 1000 * self.kimg:
            command += f" kimg={2 * self.kimg:g}"
        elif self.minutes:
            command += f" minutes={2 * self.minutes:g}"
        batches = self.images / self.joint_batch if self.has_opponents else math.inf
        evidence = Evidence(batches, [*self.readings], self.collapsed, self.untrained, command)
        return diagnose(self.monitor, self.mode, self.history, evidence)

    def write_status(self, state: str) -> None:
        """Replace status.json. At the end of a run, add the diagnosis to it and a last line to metrics.jsonl."""
        if not self.is_main_process:
            return
        kimg, scores, final = self.images / 1000, {"best": self.best, "last": self.last}, {}
        if state != "running" and (self.history or self.readings):
            found = self.diagnosis()  # without its command, which names the folder of today
            final = {"diagnosis": {"state": found.state, "summary": found.summary, "remark": found.remark}}
            if self.history:
                self.append_line({"kimg": kimg, **scores, **final})
        speed = {"images_per_second": round(self.images_per_second, 1), "seconds": round(self.seconds, 1)}
        content = {"state": state, "kimg": kimg, **speed, **scores, **final, **self.facts}
        write_json(self.folder / STATUS, content, default=plain_number)


def plain_number(value: Any) -> Any:
    """Return a number of NumPy or torch as one of Python, other numbers as they are, and the text of anything else."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, int | float) else str(value)


def write_start(folder: Path, cfg: DictConfig, choices: Mapping[str, str], precision: str, images: int = 0) -> None:
    """Write what makes a folder one of a run that has trained on so many images and can be resumed.

    It counts as interrupted until its training begins.
    """
    record = RunRecord(folder, cfg, choices, precision)
    record.images = record.first = images
    record.write_status("interrupted")
    (folder / "metrics.jsonl").touch()


def write_config(folder: Path, cfg: DictConfig) -> None:
    """Write config.yaml: every setting, resolved."""
    resolved = resolved_copy(cfg)
    if "callbacks" in cfg:  # keep their interpolations: their settings follow those of a resumed run
        resolved["callbacks"] = OmegaConf.to_container(cfg.callbacks)
    replace_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(resolved)))


def numbers_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores or curves in a line of a metrics.jsonl."""
    return {name: value for name, value in line.items() if name not in ("time", "kimg") and is_number(value)}

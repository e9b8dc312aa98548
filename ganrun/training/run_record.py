"""The record of a run: config.yaml, status.json and metrics.jsonl."""

import json
import logging
import os
import platform
import shlex
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganrun.paths import replace_text
from ganrun.training.diagnosis import Diagnosis, diagnose
from ganrun.training.run_folder import git_commit, package_versions

log = logging.getLogger(__name__)
READINGS = 1000  # of the curves, the newest, that are kept for the diagnosis


class RunRecord:
    """Keeps config.yaml, status.json and metrics.jsonl of a run; silent on all ranks but the first.

    monitor: the score that names the best; mode: "min" or "max".  choices: the run's choice in each config group,
    which status.json tells.  history: (kimg, its value) of each scoring.
    """

    def __init__(
        self,
        folder: Path,
        cfg: DictConfig,
        monitor: str | None,
        mode: str = "min",
        is_main_process: bool = True,
        choices: Mapping[str, str] | None = None,
    ):
        self.folder, self.monitor, self.mode, self.is_main_process = folder, monitor, mode, is_main_process
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.history: list[tuple[float, float]] = []
        self.readings: deque[Mapping[str, float]] = deque(maxlen=READINGS)
        self.collapsed: str | None = None
        self.kimg, self.minutes = cfg.get("kimg"), cfg.get("minutes")
        self.images = self.first = 0  # seen, and at the start of the clock
        self.overhead_seconds = 0.0
        self.start = time.monotonic()
        self.facts = {
            "host": platform.node(),
            "pid": os.getpid(),
            "versions": package_versions(),
            "commit": git_commit(),
        }
        self.facts["choices"] = dict(choices or {})
        if is_main_process:
            resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
            if "callbacks" in cfg:  # keep their interpolations: their settings follow those of a resumed run
                resolved.callbacks = OmegaConf.to_container(cfg.callbacks)
            replace_text(folder / "config.yaml", OmegaConf.to_yaml(resolved))

    @property
    def seconds(self) -> float:
        """Since the start of the run."""
        return time.monotonic() - self.start

    @property
    def images_per_second(self) -> float:
        """Of training, without the time of scores, pictures and checkpoints."""
        return (self.images - self.first) / max(self.seconds - self.overhead_seconds, 1e-9)

    @contextmanager
    def outside_training(self) -> Iterator[None]:
        """Time that does not count as training."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.overhead_seconds += time.monotonic() - start

    def restart_clock(self, seconds: float = 0.0, overhead_seconds: float = 0.0, first: int = 0) -> None:
        """Training starts now, after `first` images, or goes on after so many seconds, of which some did not count."""
        self.start, self.overhead_seconds, self.first = time.monotonic() - seconds, overhead_seconds, first

    def restore(self, images: int) -> None:
        """Takes up what metrics.jsonl tells up to `images`; later lines, and those of an end that comes again, go."""
        path, kimg = self.folder / "metrics.jsonl", images / 1000
        lines = [line for line in read_metric_lines(path) if line.get("kimg", 0) <= kimg and "last" not in line]
        if kimg >= self.kimg:
            lines = [line for line in lines if line["kimg"] < kimg or "protocol" not in line]
        for line in lines:
            told = {name: value for name, value in line.items() if name not in ("time", "protocol")}
            if "protocol" in line:
                self._apply_scores(told)
            else:
                self.readings.append({name: value for name, value in told.items() if name != "kimg"})
        self.images = images
        if self.is_main_process:
            replace_text(path, "".join(json.dumps(line) + "\n" for line in lines))

    def add_curves(self, images: int, curves: Mapping[str, float]) -> None:
        """Notes a reading of the players' curves after `images`."""
        self.readings.append(curves)
        self.append_line({"kimg": images / 1000, **curves})

    def add_scores(
        self, images: int, scores: Mapping[str, float], protocol: Mapping, collapsed: str | None = None
    ) -> bool:
        """Notes the scores after `images`; whether they are the best so far.

        collapsed: why the samples with these scores are to be called collapsed, None if they are not.
        """
        self.collapsed = collapsed
        is_best = self._apply_scores({"kimg": images / 1000, **scores})
        self.append_line({**self.last, "protocol": dict(protocol)})
        self.write_status("running")
        return is_best

    def _apply_scores(self, scores: dict[str, float]) -> bool:
        """Counts scores, their kimg among them, as the last ones; whether they are the best so far."""
        self.last = scores
        is_best = self.monitor in scores and self._is_better(scores[self.monitor])
        if self.monitor in scores:
            self.history.append((scores["kimg"], scores[self.monitor]))
        if is_best:
            self.best = self.last
        return is_best

    def append_line(self, line: Mapping) -> None:
        """Appends a line to metrics.jsonl."""
        if self.is_main_process:
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"time": round(self.seconds, 3), **line}) + "\n")

    def diagnosis(self) -> Diagnosis | None:
        """How the training went so far; None where nothing names the best."""
        if not self.history:
            return None
        return diagnose(self.monitor, self.mode, self.history, [*self.readings], self.collapsed, self._longer())

    def write_status(self, state: str, **more) -> None:
        """Replaces status.json; at the end of a run it tells the diagnosis, and metrics.jsonl gets its closing line."""
        if self.is_main_process:
            diagnosis = self.diagnosis() if state != "running" else None
            if diagnosis:
                more["diagnosis"] = asdict(diagnosis)
                self.append_line({"kimg": self.images / 1000, "last": self.last, "best": self.best, **more})
            content = {
                "state": state,
                "kimg": self.images / 1000,
                "images_per_second": round(self.images_per_second, 1),
                "seconds": round(self.seconds, 1),
                "best": self.best,
                "last": self.last,
                **more,
                **self.facts,
            }
            replace_text(self.folder / "status.json", json.dumps(content, indent=2) + "\n")

    def _longer(self) -> str:
        """The command that trains on: to the limit that ended this run, doubled; to its end where none did."""
        command = f"ganrun resume {shlex.quote(str(self.folder))}"
        if self.images >= 1000 * self.kimg:
            return f"{command} kimg={2 * self.kimg:g}"
        return f"{command} minutes={2 * self.minutes:g}" if self.minutes else command

    def _is_better(self, value: float) -> bool:
        if value != value:
            return False
        sign = 1 if self.mode == "max" else -1
        return not self.best or sign * value > sign * self.best[self.monitor]


def read_metric_lines(path: Path) -> Iterator[dict]:
    """The lines of a metrics.jsonl; one that was cut short by a crash is none."""
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(text)
        except ValueError:
            log.info("%s: a broken line is left out", path)

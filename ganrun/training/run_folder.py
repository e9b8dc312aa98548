"""A run folder: what it holds beside checkpoints, and how it is written."""

import json
import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import Failure, UserError, is_full_disk
from ganrun.training.diagnosis import Verdict, judge

log = logging.getLogger(__name__)
PACKAGES = ("ganrun", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "numpy")
LEAST_FREE = 200 * 2**20  # bytes
READINGS = 1000  # of the curves, the newest, that are kept for the verdict


def writable(folder: Path) -> Path:
    """The nearest folder above `folder` that exists. UserError where it cannot be written or little is free."""
    above = next(parent for parent in [folder, *folder.parents] if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UserError(f"{above} cannot be written to, so {folder} cannot be made. Give another folder=.")
    free = shutil.disk_usage(above).free
    if free < LEAST_FREE:
        raise UserError(
            f"{free / 2**20:.0f} MiB are free at {above}; a run needs {LEAST_FREE / 2**20:.0f} MiB or more. "
            "Free some, or give a folder= on another disk."
        )
    return above


def make_folder(folder: Path, key: str = "folder") -> Path:
    """Makes the folder of a run, which must be new; a second start within one second gets a number behind it.

    key: the setting that names it.
    """
    writable(folder.absolute())
    for name in [folder.name, *(f"{folder.name}-{n}" for n in range(2, 100))]:
        try:
            (folder.parent / name).mkdir(parents=True)
            return folder.parent / name
        except FileExistsError:
            if not re.search(r"\d{6}$", folder.name):  # not a time: somebody's own name
                raise UserError(f"{folder} is there already. Give a new {key}=, or leave it out.") from None
        except OSError as error:
            raise UserError(f"{folder} cannot be made: {error.strerror}. Give another {key}=.") from error
    raise UserError(f"{folder} is there already. Give a new {key}=.")


class Record:
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
        speaks: bool = True,
        choices: Mapping[str, str] | None = None,
    ):
        self.folder, self.monitor, self.mode, self.speaks = folder, monitor, mode, speaks
        self.best: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.history: list[tuple[float, float]] = []
        self.readings: deque[Mapping[str, float]] = deque(maxlen=READINGS)
        self.collapsed: str | None = None
        self.kimg, self.minutes = cfg.get("kimg"), cfg.get("minutes")
        self.images = self.first = 0  # seen, and at the start of the clock
        self.aside = 0.0
        self.start = time.monotonic()
        self.facts = {"host": platform.node(), "pid": os.getpid(), "versions": versions(), "commit": commit()}
        self.facts["choices"] = dict(choices or {})
        if speaks:
            replace_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))

    @property
    def seconds(self) -> float:
        """Since the start of the run."""
        return time.monotonic() - self.start

    @property
    def images_per_second(self) -> float:
        """Of training, without the time of scores, pictures and checkpoints."""
        return (self.images - self.first) / max(self.seconds - self.aside, 1e-9)

    @contextmanager
    def beside_training(self) -> Iterator[None]:
        """Time that does not count as training."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.aside += time.monotonic() - start

    def restart_clock(self, seconds: float = 0.0, aside: float = 0.0, first: int = 0) -> None:
        """Training starts now, after `first` images, or goes on after so many seconds, of which some did not count."""
        self.start, self.aside, self.first = time.monotonic() - seconds, aside, first

    def go_on(self, images: int) -> None:
        """Takes up what metrics.jsonl tells up to `images`; later lines, and those of an end that comes again, go."""
        path, kimg = self.folder / "metrics.jsonl", images / 1000
        lines = [line for line in read_lines(path) if line.get("kimg", 0) <= kimg and "last" not in line]
        if kimg >= self.kimg:
            lines = [line for line in lines if line["kimg"] < kimg or "protocol" not in line]
        for line in lines:
            told = {name: value for name, value in line.items() if name not in ("time", "protocol")}
            if "protocol" in line:
                self._take(told)
            else:
                self.readings.append({name: value for name, value in told.items() if name != "kimg"})
        self.images = images
        if self.speaks:
            replace_text(path, "".join(json.dumps(line) + "\n" for line in lines))

    def read(self, images: int, curves: Mapping[str, float]) -> None:
        """Notes a reading of the players' curves after `images`."""
        self.readings.append(curves)
        self.note({"kimg": images / 1000, **curves})

    def score(self, images: int, scores: Mapping[str, float], protocol: Mapping, collapsed: str | None = None) -> bool:
        """Notes the scores after `images`; whether they are the best so far.

        collapsed: why the samples with these scores are to be called collapsed, None if they are not.
        """
        self.collapsed = collapsed
        is_best = self._take({"kimg": images / 1000, **scores})
        self.note({**self.last, "protocol": dict(protocol)})
        self.status("running")
        return is_best

    def _take(self, scores: dict[str, float]) -> bool:
        """Counts scores, their kimg among them, as the last ones; whether they are the best so far."""
        self.last = scores
        is_best = self.monitor in scores and self._is_better(scores[self.monitor])
        if self.monitor in scores:
            self.history.append((scores["kimg"], scores[self.monitor]))
        if is_best:
            self.best = self.last
        return is_best

    def note(self, line: Mapping) -> None:
        """Appends a line to metrics.jsonl."""
        if self.speaks:
            with (self.folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"time": round(self.seconds, 3), **line}) + "\n")

    def verdict(self) -> Verdict | None:
        """How the training went so far; None where nothing names the best."""
        if not self.history:
            return None
        return judge(self.monitor, self.mode, self.history, [*self.readings], self.collapsed, self._longer())

    def status(self, state: str, **more) -> None:
        """Replaces status.json; at the end of a run it tells the verdict, and metrics.jsonl gets its closing line."""
        if self.speaks:
            verdict = self.verdict() if state != "running" else None
            if verdict:
                more["verdict"] = asdict(verdict)
                self.note({"kimg": self.images / 1000, "last": self.last, "best": self.best, **more})
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


def read_lines(path: Path) -> Iterator[dict]:
    """The lines of a metrics.jsonl; one that was cut short by a crash is none."""
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(text)
        except ValueError:
            log.info("%s: a broken line is left out", path)


def replace_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all."""
    replace_file(path, text.encode())


def replace_file(path: Path, content: bytes) -> None:
    """Writes the file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def log_file(folder: Path) -> Iterator[None]:
    """ganrun's messages go to train.log, too."""
    handler = logging.FileHandler(folder / "train.log")
    handler.handleError = lambda _: None  # where the disk is full, the run itself says so
    logging.getLogger("ganrun").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("ganrun").removeHandler(handler)
        handler.close()


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turns the system's word for a full disk, whatever was to be written, into a Failure that tells the way on."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise Failure(
            f"The disk of {folder} is full. What was saved before is intact. Free some space, then: "
            f"ganrun resume {folder}"
        ) from error


def versions() -> dict[str, str]:
    """Of the packages that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def commit() -> str | None:
    """The git commit of the working folder, None where there is none."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip() or None
    except (OSError, subprocess.TimeoutExpired):
        return None

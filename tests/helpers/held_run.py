"""A training that holds at a chosen moment: the user's classes in its working folder wait there for a file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

MINE = '''
import os, time
from pathlib import Path

from ganrun.training import checkpoint_io
from ganrun.metrics.modes import Modes
from ganrun.models.gan import GAN


def hold(moment):
    """The first time that it comes to the moment to hold at, waits until the file `go` is there."""
    if os.environ.get("HOLD_AT") != moment or Path("held").exists():
        return
    Path("held").touch()
    while not Path("go").exists():
        time.sleep(0.01)


class Model(GAN):
    def discriminator_loss(self, batch):
        self.batches_seen == 29 and hold("before the turns")
        return super().discriminator_loss(batch)

    def generator_loss(self, batch):
        self.batches_seen == 29 and hold("between two turns")
        return super().generator_loss(batch)

    def pictures(self, data):
        hold("pictures")
        return super().pictures(data)


class Scores(Modes):
    def score(self, model, data, *arguments, is_final=False, **options):
        hold("final scores" if is_final else "scores")
        return super().score(model, data, *arguments, is_final=is_final, **options)


def write(content, path):
    hold("saving")
    return really_write(content, path)


really_write, checkpoint_io.write_checkpoint = checkpoint_io.write_checkpoint, write
'''
RUN = [
    *("model=gan", "data=ring", "network.generator.hidden=[16]", "network.discriminator.hidden=[16]"),
    *("model._target_=mine.Model", "metrics._target_=mine.Scores", "metrics.samples=100"),
    *("batch_size=4", "kimg=0.2", "validate_kimg=0.08", "pictures_kimg=0.1", "checkpoint.kimg=0.06", "log_every=5"),
]  # 50 batches: saved after 15, 30, 45, scored after 20, 40 and in the end


class Run:
    """A training in folder/run by the real command, in a process of its own."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "run"
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(MINE)

    def train(self, moment: str = "", *words: str) -> None:
        """Starts it; it will hold at that moment."""
        self.start("train", *RUN, "folder=run", *words, HOLD_AT=moment)

    def start(self, *words: str, **settings: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganrun", *words],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **settings},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            preexec_fn=heed_ctrl_c,
        )

    def wait_for_the_moment(self) -> None:
        until(lambda: (self.folder / "held").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr.read()

    def send(self, signum: int) -> None:
        """The signal; and waits until the run has told that it came."""
        self.process.send_signal(signum)
        line = self.process.stderr.readline()
        while line and "a second signal stops at once" not in line:
            line = self.process.stderr.readline()
        assert line, "it said nothing"

    def go(self) -> None:
        (self.folder / "go").touch()

    def code(self) -> int:
        _, self.said = self.process.communicate(timeout=100)
        return self.process.returncode

    def resume(self) -> None:
        self.go()
        self.start("resume", "run", "trust=true")
        assert self.code() == 0, self.said
        assert self.status()["state"] == "done"

    def status(self) -> dict:
        return json.loads((self.path / "status.json").read_text())

    def checkpoint(self) -> dict:
        folder = self.path / "checkpoints"
        name = json.loads((folder / "manifest.json").read_text())["last"]
        return torch.load(folder / name, weights_only=True)

    def scores(self) -> list[tuple]:
        """(kimg, scores) of each scoring."""
        lines = map(json.loads, (self.path / "metrics.jsonl").read_text().splitlines())
        return [
            (line["kimg"], {name: value for name, value in line.items() if name.startswith("val/")})
            for line in lines
            if "protocol" in line
        ]

    def curves(self) -> EventAccumulator:
        return EventAccumulator(str(self.path)).Reload()


def heed_ctrl_c() -> None:
    """What a shell starts in the background ignores SIGINT, and so do its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def until(is_so: Callable[[], bool], told: Callable[[], str] = str, seconds: float = 120) -> None:
    """Waits for it; fails with what is told."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, told()
        time.sleep(0.05)


def uninterrupted(folder: Path, *words: str) -> Run:
    """The whole run, that nothing interrupts."""
    run = Run(folder)
    run.train("", *words)
    assert run.code() == 0, run.said
    return run


def assert_same(found: Run, whole: Run):
    """The same weights, optimizers and scores, bit for bit; and all of the curve."""
    one, other = found.checkpoint(), whole.checkpoint()
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, weight in one["state_dict"].items():
        assert torch.equal(weight, other["state_dict"][name]), name
    torch.testing.assert_close(one["optimizer_states"], other["optimizer_states"], rtol=0, atol=0)
    assert found.scores() == whole.scores()
    assert steps(found) == steps(whole)


def steps(run: Run) -> list[int]:
    return sorted({event.step for event in run.curves().Scalars("train/generator/loss")})

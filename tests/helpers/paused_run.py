"""A training process that pauses at a chosen point, where classes in its working folder wait for a file."""

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


def pause(point):
    """Wait for the file `continue`, the first time that this is the point to pause at."""
    if os.environ.get("PAUSE_AT") != point or Path("paused").exists():
        return
    Path("paused").touch()
    while not Path("continue").exists():
        time.sleep(0.01)


class Model(GAN):
    def discriminator_loss(self, batch):
        self.batches_seen == 29 and pause("before the step")
        return super().discriminator_loss(batch)

    def generator_loss(self, batch):
        self.batches_seen == 29 and pause("between two players")
        return super().generator_loss(batch)

    def pictures(self, data):
        pause("pictures")
        return super().pictures(data)


class Scores(Modes):
    def score(self, model, data, *arguments, is_final=False, **options):
        pause("final scores" if is_final else "scores")
        return super().score(model, data, *arguments, is_final=is_final, **options)


def write_after_pause(content, path):
    pause("saving")
    return write_checkpoint(content, path)


write_checkpoint, checkpoint_io.write_checkpoint = checkpoint_io.write_checkpoint, write_after_pause
'''
TRAIN_ARGS = [
    *("model=gan", "data=ring", "network.generator.hidden=[16]", "network.discriminator.hidden=[16]"),
    *("model._target_=mine.Model", "metrics._target_=mine.Scores", "metrics.samples=100"),
    *("batch_size=4", "kimg=0.2", "validate_kimg=0.08", "pictures_kimg=0.1", "checkpoint.kimg=0.06", "log_every=5"),
]  # 50 batches: checkpoints after 15, 30, 45; scores after 20, 40 and at the end


class PausedRun:
    """`ganrun train` with run folder `folder`/run, in its own process."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "run"
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(MINE)

    def train(self, point: str = "", *args: str) -> None:
        """Start the training, which will pause at that point."""
        self.start("train", *TRAIN_ARGS, "folder=run", *args, PAUSE_AT=point)

    def start(self, *args: str, **settings: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ganrun", *args],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **settings},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            preexec_fn=accept_ctrl_c,
        )

    def wait_until_paused(self) -> None:
        wait_for(lambda: (self.folder / "paused").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr.read()

    def send(self, signum: int) -> None:
        """Send the signal, and wait until the run reports it."""
        self.process.send_signal(signum)
        line = self.process.stderr.readline()
        while line and "second signal" not in line:
            line = self.process.stderr.readline()
        assert line, "no message about the signal"

    def unpause(self) -> None:
        (self.folder / "continue").touch()

    def wait(self) -> int:
        """Return the exit code; `stderr` is what the process printed."""
        _, self.stderr = self.process.communicate(timeout=100)
        return self.process.returncode

    def resume(self) -> None:
        self.unpause()
        self.start("resume", "run", "trust=true")
        assert self.wait() == 0, self.stderr
        assert self.status()["state"] == "done"

    def status(self) -> dict:
        return json.loads((self.path / "status.json").read_text())

    def checkpoint(self) -> dict:
        folder = self.path / "checkpoints"
        name = json.loads((folder / "manifest.json").read_text())["last"]
        return torch.load(folder / name, weights_only=True)

    def scores(self) -> list[tuple]:
        """Return (kimg, scores) of each scoring."""
        lines = map(json.loads, (self.path / "metrics.jsonl").read_text().splitlines())
        return [
            (line["kimg"], {name: value for name, value in line.items() if name.startswith("val/")})
            for line in lines
            if "protocol" in line
        ]

    def curves(self) -> EventAccumulator:
        return EventAccumulator(str(self.path)).Reload()


def accept_ctrl_c() -> None:
    """Undo that processes started in the background of a shell ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for(condition: Callable[[], bool], describe: Callable[[], str] = str, seconds: float = 120) -> None:
    """Wait until the condition holds; fail with a description after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, describe()
        time.sleep(0.05)


def run_uninterrupted(folder: Path, *args: str) -> PausedRun:
    """Run the training to its end without a pause."""
    run = PausedRun(folder)
    run.train("", *args)
    assert run.wait() == 0, run.stderr
    return run


def assert_same(run: PausedRun, whole: PausedRun):
    """Assert equal weights, optimizers, scores and curves, bit for bit."""
    one, other = run.checkpoint(), whole.checkpoint()
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, weight in one["state_dict"].items():
        assert torch.equal(weight, other["state_dict"][name]), name
    torch.testing.assert_close(one["optimizer_states"], other["optimizer_states"], rtol=0, atol=0)
    assert run.scores() == whole.scores()
    assert steps(run) == steps(whole)


def steps(run: PausedRun) -> list[int]:
    return sorted({event.step for event in run.curves().Scalars("train/generator/loss")})

"""Measure ganrun's training step against plain loops, loops of other projects, and one without a trainer."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
from bench_peers import DcganExample, DcganExampleByIndex, Peer, PlainCycleGAN, PlainWGAN, Tuned
from bench_projects import HyperGANStep, PyTorchGANDcgan, PyTorchGANWganGp, TorchganTrainer
from bench_tutorial import Tutorial
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from PIL import Image

from ganrun import files
from ganrun.config import build
from ganrun.config.experiment import Experiment, build_experiment
from ganrun.config.precision import computes_bfloat16
from ganrun.training import session
from ganrun.training.callbacks.base import RunContext
from ganrun.training.callbacks.callback_list import CallbackList
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_record import RunRecord

PLAIN = ["metrics=none", "trainer.accelerator=cpu", "trainer.precision=32-true", "kimg=1000000"]
NOTE = """\
All sides train the same networks from the same weights, with as many examples per batch (the generator's step samples
its own fakes, Goodfellow et al. 2014, Algorithm 1). ganrun's side is all of `ganrun train`: seeded noise per batch,
checks for NaN, curves, progress. The tuned loop has none of these; it shows what is possible. bf16: ganrun computes in
bfloat16, the others in float32; where the CPU computes bfloat16 natively. Loops "written anew" are those of other
projects, in their order of steps and with as many fakes as they sample: scripts/bench_projects.py."""


@dataclass
class Work:
    """A training to measure.

    batches: per round, on each side.  others: what to compare with.  images: number of random images for data.root.
    title: what `--only` looks for, if not the name.
    """

    name: str
    overrides: list[str]
    batches: int
    rounds: int
    others: list[type[Peer]] = field(default_factory=list)
    images: int = 0
    title: str = ""

    def __post_init__(self):
        self.title = self.title or self.name


IMAGES = ["data=folder", "data.size=64"]
RING = Work(
    "gan on the ring, batch 256",
    ["experiment=ring", "batch_size=256"],
    batches=200,
    rounds=21,
    others=[DcganExample, DcganExampleByIndex, Tutorial, Tuned],
)
LAYERS = "[128,128]"  # so small that the overhead of a step is visible; RING has the papers' networks
SMALL = Work(
    "gan on the ring, 2 layers of 128",
    [
        *RING.overrides,
        f"network.generator.hidden={LAYERS}",
        f"network.discriminator.hidden={LAYERS}",
        "network.discriminator.pieces=1",
    ],
    batches=200,
    rounds=21,
    others=RING.others,
)
DCGAN = Work(
    "dcgan 3x64x64, width 64, batch 64",
    ["model=dcgan", *IMAGES, "batch_size=64"],
    batches=2,
    rounds=15,
    others=[DcganExample, Tuned],
    images=1000,
)
DIGITS = Work(
    "dcgan 1x28x28, width 64, batch 64",
    ["model=dcgan", "data=digits", "batch_size=64"],
    batches=5,
    rounds=15,
    others=[DcganExample, Tuned],
)
WGAN = Work(
    "wgan 3x64x64, width 64, batch 64",
    ["model=wgan", *IMAGES, "batch_size=64"],
    batches=5,
    rounds=15,
    others=[PlainWGAN],
    images=1000,
)
CYCLEGAN = Work(
    "cyclegan 3x64x64, width 64, batch 1",
    ["model=cyclegan", "data=unpaired", "data.size=64"],
    batches=2,
    rounds=15,
    others=[PlainCycleGAN],
    images=200,
)
PENALIZED_WGAN = Work(
    "wgan-gp 1x28x28, fully connected, batch 64",
    [
        "model=wgan_gp",
        "network=mlp",
        "optimizer=adam",
        "data=digits",
        "batch_size=64",
    ],
    batches=50,
    rounds=15,
    others=[PyTorchGANWganGp],
)


def alone(work: Work, other: type[Peer]) -> Work:
    """Return the work with no other than this one, after which it is named for `--only`."""
    return replace(work, others=[other], title=f"{work.name} against {other.label}")


def in_bfloat16(work: Work) -> Work:
    """Return the work with ganrun's side in bfloat16; the others stay in float32."""
    name = f"{work.name}, bf16"
    return replace(work, name=name, title=name, overrides=[*work.overrides, "trainer.precision=bf16-mixed"])


WORKS = [SMALL, RING, DCGAN, DIGITS, WGAN, CYCLEGAN]
WORKS += [alone(DCGAN, other) for other in (PyTorchGANDcgan, TorchganTrainer, HyperGANStep)]
WORKS += [alone(SMALL, HyperGANStep), alone(PENALIZED_WGAN, PyTorchGANWganGp)]
if computes_bfloat16():
    WORKS += [in_bfloat16(work) for work in (DCGAN, DIGITS, CYCLEGAN, PENALIZED_WGAN)]


@dataclass
class AlternateRounds(pl.Callback):
    """Stops ganrun's clock after every round and lets the others run theirs; who goes first alternates.

    The order of the rounds is ours, others | others, ours | ours, others | ... The first pair is a warm-up.
    """

    others: dict[str, Peer]
    batches: int
    rounds: int
    ours: list[float] = field(default_factory=list)
    theirs: dict[str, list[float]] = field(default_factory=dict)
    our_batches: int = 0

    def on_train_start(self, trainer, model):
        self.theirs = {name: [] for name in self.others}
        self.mark = time.process_time()

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.our_batches += 1
        if self.our_batches % self.batches:
            return
        self.ours.append(time.process_time() - self.mark)
        if len(self.ours) > self.rounds:
            trainer.should_stop = True
        self._let_others(len(self.ours))
        self.mark = time.process_time()

    def ratios(self, name: str) -> list[float]:
        """Return their time / ours for each pair but the first."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs[name], strict=True)][1:]

    def _let_others(self, pair: int) -> None:
        if len(next(iter(self.theirs.values()))) < pair:
            self._round(self.others)
            if pair <= self.rounds:
                self._round(reversed(self.others))

    def _round(self, names) -> None:
        for name in names:
            self.theirs[name].append(self.others[name].seconds(self.batches))


def run_alternately(work: Work, rounds: int, batches: int) -> AlternateRounds:
    """Train as `ganrun train` does, in a temporary folder, in alternation with the others."""
    session.silence_libraries()
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GANRUN_CACHE=f"{name}/cache"):
        job = build_work(work, Path(name))
        alternation = AlternateRounds({peer.label: peer(job) for peer in work.others}, batches, rounds)
        fit(job, alternation)
        for other in alternation.others.values():
            other.close()
    return alternation


def fit(job: Experiment, callback: pl.Callback) -> None:
    """Train with all callbacks of `ganrun train`, followed by `callback`."""
    io = DurableIO()
    choices = session.config_choices()
    run = RunContext(job, RunRecord(Path(job.cfg.folder), job.cfg, choices, job.hardware.precision), choices, io)
    callbacks = CallbackList([*session.bind_callbacks(run), callback])
    trainer = job.build_trainer(callbacks=callbacks, logger=build.instantiate_optional(job.cfg.logger), plugins=[io])
    trainer.fit(job.model, datamodule=job.data)


def build_work(work: Work, folder: Path, plain: Sequence[str] = PLAIN) -> Experiment:
    """Build the experiment and prepare its data."""
    overrides = [*plain, *work.overrides, f"folder={folder / 'run'}"]
    if work.images:
        overrides.append(f"data.root={make_images(folder / 'images', work.images)}")
    with initialize_config_dir(str(files.conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        cfg.pop("hydra")
    OmegaConf.resolve(cfg)
    (folder / "run").mkdir()
    job = build_experiment(cfg)
    session.prepare_experiment(job)
    return job


def make_images(folder: Path, count: int) -> Path:
    """Write random images of 64x64: two training sets in CycleGAN's layout, and a few test images."""
    for name, n in (("trainA", count), ("trainB", count), ("testA", 8), ("testB", 8)):
        (folder / name).mkdir(parents=True)
        for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)):
            Image.fromarray(pixels).save(folder / name / f"{i:05d}.bmp")
    return folder


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    """Return what compares each work with each other loop: the ratios of the pairs of rounds."""

    def measure(work: Work) -> list[dict]:
        batches = 1 if is_quick and work.images else work.batches
        return list_ratios(work, run_alternately(work, rounds or (3 if is_quick else work.rounds), batches))

    return {work.title: partial(measure, work) for work in WORKS}


def list_ratios(work: Work, rounds: AlternateRounds) -> list[dict]:
    return [{"work": work.name, "against": name, "ratios": rounds.ratios(name)} for name in rounds.others]

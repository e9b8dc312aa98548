"""ganrun's training step against the loop of PyTorch's DCGAN example."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from PIL import Image
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from ganrun import build, folders, pictures
from ganrun.callbacks.together import Together
from ganrun.checkpoint_io import DurableIO
from ganrun.commands import train
from ganrun.job import Job, make_job
from ganrun.record import Record

PLAIN = ["metrics=none", "trainer.accelerator=cpu", "trainer.precision=32-true", "kimg=1000000"]
NOTE = """\
Both sides: the same networks, two passes of D and two of G in a batch. The example's loop draws G's fakes anew for
G's turn, as ganrun's step does (Goodfellow et al. 2014, Algorithm 1); it keeps the example's plain Adam, its two
backward passes of D and its five readings of the losses and scores in every batch."""


def loaded(x: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Endless shuffled batches as a user of the example gets them, from a DataLoader."""
    loader = DataLoader(TensorDataset(x), batch_size, shuffle=True, drop_last=True, num_workers=0)
    while True:
        for (batch,) in loader:
            yield batch


def indexed(x: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Endless shuffled batches, each cut out by one indexing."""
    while True:
        for index in torch.randperm(len(x)).split(batch_size):
            if len(index) == batch_size:
                yield x[index]


@dataclass
class Work:
    """A training to measure.

    batches: of one round, on either side.  pictures: how many are made up for data.root.  others: name -> source of
    batches of the example's loop, one row each.
    """

    name: str
    overrides: list[str]
    batches: int
    rounds: int
    others: dict[str, Callable[[Tensor, int], Iterator[Tensor]]]
    pictures: int = 0


DCGAN = Work(
    "dcgan 3x64x64, width 64, batch 64",
    ["model=dcgan", "data=folder", "data.size=64", "batch_size=64"],
    batches=2,
    rounds=15,
    others={"PyTorch's DCGAN example, DataLoader": loaded},
    pictures=2000,
)
RING = Work(
    "gan on the ring, batch 256",
    ["model=gan", "data=ring", "batch_size=256"],
    batches=200,
    rounds=21,
    others={"PyTorch's DCGAN example, DataLoader": loaded, "PyTorch's DCGAN example, batches by index": indexed},
)


class Example:
    """The loop of PyTorch's DCGAN example on copies of a model's networks, with a pass of G for G's turn."""

    def __init__(self, job: Job, source: Callable[[Tensor, int], Iterator[Tensor]]):
        copy = build.adversarial(job.cfg, job.data).to(memory_format=torch.contiguous_format)
        self.generator, self.discriminator, self.noise = copy.generator, copy.discriminator, copy.noise
        adam = {"lr": job.cfg.optimizer.lr, "betas": tuple(job.cfg.optimizer.betas)}
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), **adam)
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), **adam)
        x = torch.cat(list(job.data.reference()))
        self.source = source(pictures.to_float(x) if x.dtype == torch.uint8 else x, job.cfg.batch_size)
        self.batches = 0

    def seconds(self, batches: int) -> float:
        """CPU time of so many batches."""
        start = time.process_time()
        for _ in range(batches):
            self.step(next(self.source))
        self.batches += batches
        return time.process_time() - start

    def step(self, x: Tensor) -> tuple[float, ...]:
        label = torch.full((len(x),), 1.0)

        self.discriminator.zero_grad()
        score = self.discriminator(x)
        error_real = binary_cross_entropy_with_logits(score, label)
        error_real.backward()
        d_x = score.mean().item()
        fake = self.generator(self.noise(len(x)))
        label.fill_(0.0)
        score = self.discriminator(fake.detach())
        error_fake = binary_cross_entropy_with_logits(score, label)
        error_fake.backward()
        d_fake = score.mean().item()
        self.optimizer_d.step()

        self.generator.zero_grad()
        label.fill_(1.0)
        score = self.discriminator(self.generator(self.noise(len(x))))
        error_g = binary_cross_entropy_with_logits(score, label)
        error_g.backward()
        d_fooled = score.mean().item()
        self.optimizer_g.step()
        return (error_real + error_fake).item(), error_g.item(), d_x, d_fake, d_fooled


@dataclass
class Turns(pl.Callback):
    """Stops ganrun's clock after every round and lets the others run theirs; who goes first alternates.

    The order of the rounds is ours, others | others, ours | ours, others | ... A first pair warms up and is forgotten.
    """

    others: dict[str, Example]
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
        """Their time / ours, of each pair but the first."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs[name], strict=True)][1:]

    def _let_others(self, pair: int) -> None:
        if len(next(iter(self.theirs.values()))) < pair:
            self._round(self.others)
            if pair <= self.rounds:
                self._round(reversed(self.others))

    def _round(self, names) -> None:
        for name in names:
            self.theirs[name].append(self.others[name].seconds(self.batches))


def by_turns(work: Work, rounds: int, batches: int) -> Turns:
    """Trains as `ganrun train` does, in a folder that is removed afterwards, and the examples beside it."""
    train.quiet_libraries()
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, GANRUN_CACHE=f"{name}/cache"):
        job = job_of(work, Path(name))
        turns = Turns({name: Example(job, source) for name, source in work.others.items()}, batches, rounds)
        record = Record(Path(job.cfg.folder), job.cfg, None)
        io = DurableIO()
        callbacks = Together([*train.callbacks_of(job, record, train.choices_taken(), io), turns])
        trainer = build.trainer(job.cfg, callbacks=callbacks, logger=build.made(job.cfg.logger), plugins=[io])
        trainer.fit(job.model, datamodule=job.data)
    return turns


def job_of(work: Work, folder: Path) -> Job:
    """The job that the config describes, its data ready."""
    overrides = [*work.overrides, *PLAIN, f"folder={folder / 'run'}"]
    if work.pictures:
        overrides.append(f"data.root={make_pictures(folder / 'pictures', work.pictures)}")
    with initialize_config_dir(str(folders.conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        cfg.pop("hydra")
    OmegaConf.resolve(cfg)
    (folder / "run").mkdir()
    job = make_job(cfg)
    train.prepare(job)
    return job


def make_pictures(folder: Path, count: int) -> Path:
    """A folder of noise, 64x64."""
    folder.mkdir()
    for n, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{n:05d}.bmp")
    return folder


def measured(rounds: int | None, is_quick: bool) -> list[dict]:
    """Of each work against each other loop: the ratios of the pairs of rounds."""
    results = []
    for work in (RING, DCGAN):
        batches = 1 if is_quick and work.pictures else work.batches
        results += compared(work, by_turns(work, rounds or (3 if is_quick else work.rounds), batches))
    return results


def compared(work: Work, turns: Turns) -> list[dict]:
    return [{"work": work.name, "against": other, "ratios": turns.ratios(other)} for other in work.others]

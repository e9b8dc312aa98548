"""Loops that ganrun's training step is measured against: plain ones, the tutorial's module, one without any trainer.

Each sends, on networks of its own that begin with the same weights, as many examples through each in a batch as
ganrun's step.
"""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import chain

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss, softplus
from torch.utils.data import DataLoader, TensorDataset

from ganrun.config import build
from ganrun.config.experiment import Experiment
from ganrun.data import images
from ganrun.models.image_pool import ImagePool


class Peer:
    """A training loop on copies of a job's networks.

    A subclass has a `label` and `step()`, which trains on the next batch.
    """

    label = ""

    def __init__(self, job: Experiment):
        self.job, self.size = job, job.cfg.batch_size
        self.nets = build.build_model(job.cfg, job.data).to(memory_format=torch.contiguous_format)
        self.batches = 0

    def seconds(self, batches: int) -> float:
        """CPU time of so many batches."""
        start = time.process_time()
        self.run(batches)
        self.batches += batches
        return time.process_time() - start

    def run(self, batches: int) -> None:
        for _ in range(batches):
            self.step()

    def step(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Called after the last round."""

    def examples(self, key: str = "x") -> Tensor:
        """All real examples, as the networks take them."""
        x = torch.cat(list(self.job.data.reference(key)))
        return images.to_float(x) if x.dtype == torch.uint8 else x

    def settings(self) -> dict:
        """The rates of the job's Adam, everything else as torch has it."""
        return {"lr": self.job.cfg.optimizer.lr, "betas": tuple(self.job.cfg.optimizer.betas)}


def loader(x: Tensor, size: int) -> DataLoader:
    """Shuffled batches of examples that lie in memory, put together from single ones."""
    return DataLoader(TensorDataset(x), size, shuffle=True, drop_last=True, num_workers=0)


def endless(batches: DataLoader) -> Iterator[Tensor]:
    while True:
        for (batch,) in batches:
            yield batch


def indexed(x: Tensor, size: int) -> Iterator[Tensor]:
    """Endless shuffled batches, each cut out by one indexing."""
    while True:
        for index in torch.randperm(len(x)).split(size):
            if len(index) == size:
                yield x.index_select(0, index)


def require(net: nn.Module, grad: bool) -> None:
    for w in net.parameters():
        w.requires_grad_(grad)


class DcganExample(Peer):
    """The loop of PyTorch's DCGAN example, with a pass of G for G's turn, as Goodfellow et al. 2014, Algorithm 1.

    It keeps the example's plain Adam, its two backward passes of D, its weight gradients of D in G's turn and its five
    readings of losses and scores in every batch.
    """

    label = "PyTorch's DCGAN example, DataLoader"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.optimizer_g = torch.optim.Adam(self.nets.generator.parameters(), **self.settings())
        self.optimizer_d = torch.optim.Adam(self.nets.discriminator.parameters(), **self.settings())
        self.source = self.made_source()

    def made_source(self) -> Iterator[Tensor]:
        return endless(loader(self.examples(), self.size))

    def step(self) -> tuple[float, ...]:
        generator, discriminator, x = self.nets.generator, self.nets.discriminator, next(self.source)
        label = torch.full((len(x),), 1.0)

        discriminator.zero_grad()
        score = discriminator(x)
        error_real = binary_cross_entropy_with_logits(score, label)
        error_real.backward()
        d_x = score.mean().item()
        fake = generator(self.nets.noise(len(x)))
        label.fill_(0.0)
        score = discriminator(fake.detach())
        error_fake = binary_cross_entropy_with_logits(score, label)
        error_fake.backward()
        d_fake = score.mean().item()
        self.optimizer_d.step()

        generator.zero_grad()
        label.fill_(1.0)
        score = discriminator(generator(self.nets.noise(len(x))))
        error_g = binary_cross_entropy_with_logits(score, label)
        error_g.backward()
        d_fooled = score.mean().item()
        self.optimizer_g.step()
        return (error_real + error_fake).item(), error_g.item(), d_x, d_fake, d_fooled


class DcganExampleByIndex(DcganExample):
    """The same without the cost of a DataLoader."""

    label = "PyTorch's DCGAN example, batches by index"

    def made_source(self) -> Iterator[Tensor]:
        return indexed(self.examples(), self.size)


class Tuned(Peer):
    """The fastest loop without a trainer that we know: nothing is logged, saved, scored, watched or seeded.

    Batches by index from the arrays as they are stored, the opponent frozen, one backward pass a turn, fused
    optimizers, pictures with the channels last.
    """

    label = "a tuned loop without a trainer"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.is_picture = "picture" in job.data.gives
        self.layout = torch.channels_last if self.is_picture else torch.contiguous_format
        self.nets.to(memory_format=self.layout)
        self.optimizer_g = torch.optim.Adam(self.nets.generator.parameters(), **self.settings(), fused=True)
        self.optimizer_d = torch.optim.Adam(self.nets.discriminator.parameters(), **self.settings(), fused=True)
        self.source = indexed(torch.cat(list(job.data.reference())), self.size)

    def step(self) -> None:
        generator, discriminator, x = self.nets.generator, self.nets.discriminator, next(self.source)
        if self.is_picture:
            x = images.to_float(x).contiguous(memory_format=self.layout)
        require(generator, False)
        require(discriminator, True)
        fake = generator(self.nets.noise(len(x)))
        loss = softplus(-discriminator(x)).mean() + softplus(discriminator(fake)).mean()
        self.optimizer_d.zero_grad()
        loss.backward()
        self.optimizer_d.step()

        require(generator, True)
        require(discriminator, False)
        loss = softplus(-discriminator(generator(self.nets.noise(len(x))))).mean()
        self.optimizer_g.zero_grad()
        loss.backward()
        self.optimizer_g.step()


class TutorialModule(pl.LightningModule):
    """A GAN as Lightning's tutorial writes it: toggled optimizers, each loss logged and shown in every batch."""

    def __init__(self, nets: nn.Module, settings: dict):
        super().__init__()
        self.nets, self.settings, self.automatic_optimization = nets, settings, False

    def training_step(self, batch, batch_idx):
        (x,) = batch
        optimizer_g, optimizer_d = self.optimizers()
        generator, discriminator = self.nets.generator, self.nets.discriminator

        self.toggle_optimizer(optimizer_g)
        score = discriminator(generator(self.nets.noise(len(x))))
        loss = binary_cross_entropy_with_logits(score, torch.ones(len(x)).type_as(x))
        self.log("g_loss", loss, prog_bar=True)
        self.manual_backward(loss)
        optimizer_g.step()
        optimizer_g.zero_grad()
        self.untoggle_optimizer(optimizer_g)

        self.toggle_optimizer(optimizer_d)
        real = binary_cross_entropy_with_logits(discriminator(x), torch.ones(len(x)).type_as(x))
        score = discriminator(generator(self.nets.noise(len(x))).detach())
        fake = binary_cross_entropy_with_logits(score, torch.zeros(len(x)).type_as(x))
        loss = (real + fake) / 2
        self.log("d_loss", loss, prog_bar=True)
        self.manual_backward(loss)
        optimizer_d.step()
        optimizer_d.zero_grad()
        self.untoggle_optimizer(optimizer_d)

    def configure_optimizers(self):
        players = (self.nets.generator, self.nets.discriminator)
        return [torch.optim.Adam(net.parameters(), **self.settings) for net in players]


class Tutorial(Peer, pl.Callback):
    """Lightning's tutorial with its progress bar, logger and DataLoader, in a thread that works only when told to."""

    label = "Lightning's tutorial module"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.asked, self.done, self.left = threading.Semaphore(0), threading.Semaphore(0), 0
        self.is_over = False
        threading.Thread(target=self._fit, daemon=True).start()
        self.done.acquire()

    def run(self, batches: int) -> None:
        self.left = batches
        self.asked.release()
        self.done.acquire()

    def close(self) -> None:
        self.is_over = True
        self.run(0)

    def on_train_start(self, trainer, module):
        self._wait()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.left -= 1
        if not self.left:
            self._wait()
        trainer.should_stop = self.is_over

    def _wait(self) -> None:
        self.done.release()
        self.asked.acquire()

    def _fit(self) -> None:
        torch.set_num_threads(1)  # a thread begins with as many as there are processors
        logger = pl.loggers.TensorBoardLogger(self.job.cfg.folder, name="tutorial")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            logger=logger,
            callbacks=[self, Bar()],
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(TutorialModule(self.nets, self.settings()), loader(self.examples(), self.size))
        self.done.release()


class Bar(TQDMProgressBar):
    """Lightning's progress bar, drawn where nobody looks."""

    def init_train_tqdm(self):
        with redirect_stdout(io.StringIO()):
            return super().init_train_tqdm()


class PlainWGAN(Peer):
    """A plain loop of Arjovsky et al. 2017, Algorithm 1, in the manner of their code: weights clamped one by one.

    The critic's two backward passes, torch's plain RMSprop, the critic frozen in G's turn, and the losses read once
    for each turn of G.
    """

    label = "a plain loop, DataLoader"

    def __init__(self, job: Experiment):
        super().__init__(job)
        rate = job.cfg.optimizer.lr
        self.optimizer_g = torch.optim.RMSprop(self.nets.generator.parameters(), lr=rate)
        self.optimizer_d = torch.optim.RMSprop(self.nets.discriminator.parameters(), lr=rate)
        self.source = endless(loader(self.examples(), self.size))
        self.turns = 0

    def step(self) -> None:
        generator, critic, x = self.nets.generator, self.nets.discriminator, next(self.source)
        require(critic, True)
        critic.zero_grad()
        with torch.no_grad():
            fake = generator(self.nets.noise(len(x)))
        real = -critic(x).mean()
        real.backward()
        false = critic(fake).mean()
        false.backward()
        self.optimizer_d.step()
        for w in critic.parameters():
            w.data.clamp_(-self.nets.c, self.nets.c)
        self.turns += 1
        if self.turns % self.nets.k == 0:
            require(critic, False)
            generator.zero_grad()
            loss = -critic(generator(self.nets.noise(len(x)))).mean()
            loss.backward()
            self.optimizer_g.step()
            self.losses = loss.item(), real.item(), false.item()


class PlainCycleGAN(Peer):
    """A plain loop of Zhu et al. 2017 in the manner of the authors' code, which freezes the discriminators in G's turn.

    Plain Adam, a backward pass for each discriminator, the losses read every 100 batches.
    """

    label = "a plain loop, DataLoader"

    def __init__(self, job: Experiment):
        super().__init__(job)
        nets = self.nets
        players = ((nets.a_to_b, nets.b_to_a), (nets.d_a, nets.d_b))
        self.optimizer_g, self.optimizer_d = (
            torch.optim.Adam(chain(*(net.parameters() for net in each)), **self.settings()) for each in players
        )
        self.source = {side: endless(loader(self.examples(side), self.size)) for side in "ab"}
        self.pools = {side: ImagePool(nets.pools[side].size) for side in "ab"}

    def step(self) -> None:
        nets, a, b = self.nets, next(self.source["a"]), next(self.source["b"])
        fake_b, fake_a = nets.a_to_b(a), nets.b_to_a(b)
        cycle = l1_loss(nets.b_to_a(fake_b), a) + l1_loss(nets.a_to_b(fake_a), b)
        for d in (nets.d_a, nets.d_b):
            require(d, False)
        self.optimizer_g.zero_grad()
        same = l1_loss(nets.a_to_b(b), b) + l1_loss(nets.b_to_a(a), a)
        loss = least_squares(nets.d_a(fake_a), 1.0) + least_squares(nets.d_b(fake_b), 1.0)
        loss = loss + nets.cycle * (cycle + nets.identity * same)
        loss.backward()
        self.optimizer_g.step()

        for d in (nets.d_a, nets.d_b):
            require(d, True)
        self.optimizer_d.zero_grad()
        for side, d, real, fake in (("a", nets.d_a, a, fake_a), ("b", nets.d_b, b, fake_b)):
            old = self.pools[side](fake)
            of_d = 0.5 * (least_squares(d(real), 1.0) + least_squares(d(old), 0.0))
            of_d.backward()
        self.optimizer_d.step()
        if self.batches % 100 == 0:
            self.losses = loss.item(), of_d.item()


def least_squares(score: Tensor, target: float) -> Tensor:
    return mse_loss(score, torch.tensor(target).expand_as(score))

"""Training loops to compare ganrun's step with: plain ones, and one without a trainer.

Each trains its own networks, which start from the same weights, with as many examples per batch as ganrun's step.
"""

import time
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss, softplus
from torch.utils.data import DataLoader, TensorDataset

from ganrun.config import build
from ganrun.config.experiment import Experiment
from ganrun.data import images
from ganrun.models.image_pool import ImagePool


class Peer:
    """A training loop on copies of an experiment's networks.

    A subclass has a `label`, and a `step()` that trains on the next batch.
    """

    label = ""

    def __init__(self, job: Experiment):
        self.job, self.size = job, job.cfg.batch_size
        self.nets = build.build_model(job.cfg, job.data).to(memory_format=torch.contiguous_format)
        self.batches = 0

    def seconds(self, batches: int) -> float:
        """Train on this number of batches and return the CPU time."""
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
        """Clean up after the last round."""

    def examples(self, key: str = "x") -> Tensor:
        """Return all real examples as the networks take them."""
        x = torch.cat(list(self.job.data.reference(key)))
        return images.to_float(x) if x.dtype == torch.uint8 else x

    def settings(self) -> dict:
        """Return learning rate and betas of the experiment's Adam; all else has torch's defaults."""
        return {"lr": self.job.cfg.optimizer.lr, "betas": tuple(self.job.cfg.optimizer.betas)}


def build_loader(x: Tensor, size: int) -> DataLoader:
    """Return a DataLoader of shuffled batches, collated from single examples in memory."""
    return DataLoader(TensorDataset(x), size, shuffle=True, drop_last=True, num_workers=0)


def repeat(batches: DataLoader) -> Iterator[Tensor]:
    while True:
        for (batch,) in batches:
            yield batch


def batches_by_index(x: Tensor, size: int) -> Iterator[Tensor]:
    """Yield shuffled batches without end, each by one indexing."""
    while True:
        for index in torch.randperm(len(x)).split(size):
            if len(index) == size:
                yield x.index_select(0, index)


def set_requires_grad(net: nn.Module, grad: bool) -> None:
    for w in net.parameters():
        w.requires_grad_(grad)


class PlainAdam(Peer):
    """A peer with a generator and a discriminator, torch's plain Adam for each, and a DataLoader."""

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.optimizer_g = torch.optim.Adam(self.nets.generator.parameters(), **self.settings())
        self.optimizer_d = torch.optim.Adam(self.nets.discriminator.parameters(), **self.settings())
        self.source = self.build_source()

    def build_source(self) -> Iterator[Tensor]:
        return repeat(build_loader(self.examples(), self.size))


class DcganExample(PlainAdam):
    """The loop of PyTorch's DCGAN example, with new fakes for G's step, as in Goodfellow et al. 2014, Algorithm 1.

    As in the example: plain Adam, two backward passes of D, weight gradients of D in G's step, and five calls of
    `.item()` per batch.
    """

    label = "PyTorch's DCGAN example, DataLoader"

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
    """The same without a DataLoader."""

    label = "PyTorch's DCGAN example, batches by index"

    def build_source(self) -> Iterator[Tensor]:
        return batches_by_index(self.examples(), self.size)


class Tuned(Peer):
    """The fastest loop without a trainer that we know: no logging, saving, scoring, checks or seeds.

    Batches by index from the stored arrays, frozen opponents, one backward pass per step, fused optimizers, images in
    channels_last.
    """

    label = "a tuned loop without a trainer"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.is_image = "picture" in job.data.gives
        self.layout = torch.channels_last if self.is_image else torch.contiguous_format
        self.nets.to(memory_format=self.layout)
        self.optimizer_g = torch.optim.Adam(self.nets.generator.parameters(), **self.settings(), fused=True)
        self.optimizer_d = torch.optim.Adam(self.nets.discriminator.parameters(), **self.settings(), fused=True)
        self.source = batches_by_index(torch.cat(list(job.data.reference())), self.size)

    def step(self) -> None:
        generator, discriminator, x = self.nets.generator, self.nets.discriminator, next(self.source)
        if self.is_image:
            x = images.to_float(x).contiguous(memory_format=self.layout)
        set_requires_grad(generator, False)
        set_requires_grad(discriminator, True)
        fake = generator(self.nets.noise(len(x)))
        loss = softplus(-discriminator(x)).mean() + softplus(discriminator(fake)).mean()
        self.optimizer_d.zero_grad()
        loss.backward()
        self.optimizer_d.step()

        set_requires_grad(generator, True)
        set_requires_grad(discriminator, False)
        loss = softplus(-discriminator(generator(self.nets.noise(len(x))))).mean()
        self.optimizer_g.zero_grad()
        loss.backward()
        self.optimizer_g.step()


class PlainWGAN(Peer):
    """A plain loop of Arjovsky et al. 2017, Algorithm 1, like the authors' code, which clamps weights one by one.

    Two backward passes of the critic, torch's plain RMSprop, the critic frozen in G's step, losses read once per step
    of G.
    """

    label = "a plain loop, DataLoader"

    def __init__(self, job: Experiment):
        super().__init__(job)
        rate = job.cfg.optimizer.lr
        self.optimizer_g = torch.optim.RMSprop(self.nets.generator.parameters(), lr=rate)
        self.optimizer_d = torch.optim.RMSprop(self.nets.discriminator.parameters(), lr=rate)
        self.source = repeat(build_loader(self.examples(), self.size))
        self.steps = 0

    def step(self) -> None:
        generator, critic, x = self.nets.generator, self.nets.discriminator, next(self.source)
        set_requires_grad(critic, True)
        critic.zero_grad()
        with torch.no_grad():
            fake = generator(self.nets.noise(len(x)))
        real = -critic(x).mean()
        real.backward()
        fake_score = critic(fake).mean()
        fake_score.backward()
        self.optimizer_d.step()
        c = self.nets.regularizers.by_name["weight_clamp"].c
        for w in critic.parameters():
            w.data.clamp_(-c, c)
        self.steps += 1
        if self.steps % self.nets.d_steps == 0:
            set_requires_grad(critic, False)
            generator.zero_grad()
            loss = -critic(generator(self.nets.noise(len(x)))).mean()
            loss.backward()
            self.optimizer_g.step()
            self.losses = loss.item(), real.item(), fake_score.item()


class PlainCycleGAN(Peer):
    """A plain loop of Zhu et al. 2017, like the authors' code: discriminators frozen in the generators' step.

    Plain Adam, a backward pass per discriminator, losses read every 100 batches.
    """

    label = "a plain loop, DataLoader"

    def __init__(self, job: Experiment):
        super().__init__(job)
        nets = self.nets
        players = ((nets.a_to_b, nets.b_to_a), (nets.d_a, nets.d_b))
        self.optimizer_g, self.optimizer_d = (
            torch.optim.Adam(chain(*(net.parameters() for net in each)), **self.settings()) for each in players
        )
        self.source = {side: repeat(build_loader(self.examples(side), self.size)) for side in "ab"}
        self.pools = {side: ImagePool(nets.pools[side].size) for side in "ab"}

    def step(self) -> None:
        nets, a, b = self.nets, next(self.source["a"]), next(self.source["b"])
        fake_b, fake_a = nets.a_to_b(a), nets.b_to_a(b)
        cycle = l1_loss(nets.b_to_a(fake_b), a) + l1_loss(nets.a_to_b(fake_a), b)
        for d in (nets.d_a, nets.d_b):
            set_requires_grad(d, False)
        self.optimizer_g.zero_grad()
        identity = l1_loss(nets.a_to_b(b), b) + l1_loss(nets.b_to_a(a), a)
        loss = least_squares(nets.d_a(fake_a), 1.0) + least_squares(nets.d_b(fake_b), 1.0)
        loss = loss + nets.cycle * (cycle + nets.identity * identity)
        loss.backward()
        self.optimizer_g.step()

        for d in (nets.d_a, nets.d_b):
            set_requires_grad(d, True)
        self.optimizer_d.zero_grad()
        for side, d, real, fake in (("a", nets.d_a, a, fake_a), ("b", nets.d_b, b, fake_b)):
            old = self.pools[side](fake)
            loss_d = 0.5 * (least_squares(d(real), 1.0) + least_squares(d(old), 0.0))
            loss_d.backward()
        self.optimizer_d.step()
        if self.batches % 100 == 0:
            self.losses = loss.item(), loss_d.item()


def least_squares(score: Tensor, target: float) -> Tensor:
    return mse_loss(score, torch.tensor(target).expand_as(score))

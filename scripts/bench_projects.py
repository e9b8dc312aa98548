"""The training loops of other projects, written anew from their descriptions, to compare ganrun's step with.

All train ganrun's networks on arrays in memory, without the projects' image decoding, checkpoints, pictures and
schedules. What is printed goes to memory.
"""

import copy
import io
from collections.abc import Iterator

import numpy as np
import torch
from bench_peers import PlainAdam, set_requires_grad
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from ganrun.config.experiment import Experiment
from ganrun.models import losses


class PyTorchGAN(PlainAdam):
    """What the loops of PyTorch-GAN have in common: noise from numpy, and a line printed with the losses."""

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.random, self.terminal = np.random.default_rng(0), io.StringIO()

    def noise(self, n: int) -> Tensor:
        return torch.from_numpy(self.random.normal(size=(n, self.nets.z_dim))).float()

    def print_losses(self, loss_d: Tensor, loss_g: Tensor) -> None:
        print(f"batch {self.batches}, loss of D {loss_d.item():f}, of G {loss_g.item():f}", file=self.terminal)


class PyTorchGANDcgan(PyTorchGAN):
    """PyTorch-GAN's dcgan: G moves first, and D takes the fakes of G's step.

    So half as many fakes are sampled as in ganrun and in Goodfellow et al. 2014, Algorithm 1. One backward pass of D,
    weight gradients of D in G's step, probabilities in place of logits.
    """

    label = "the loop of PyTorch-GAN's dcgan, written anew"

    def step(self) -> None:
        generator, discriminator, x = self.nets.generator, self.nets.discriminator, next(self.source)
        is_real, is_fake = torch.ones(len(x)), torch.zeros(len(x))

        self.optimizer_g.zero_grad()
        fake = generator(self.noise(len(x)))
        loss_g = binary_cross_entropy(discriminator(fake).sigmoid(), is_real)
        loss_g.backward()
        self.optimizer_g.step()

        self.optimizer_d.zero_grad()
        error_real = binary_cross_entropy(discriminator(x).sigmoid(), is_real)
        error_fake = binary_cross_entropy(discriminator(fake.detach()).sigmoid(), is_fake)
        loss_d = (error_real + error_fake) / 2
        loss_d.backward()
        self.optimizer_d.step()
        self.print_losses(loss_d, loss_g)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, at: Tensor) -> Tensor:
    """Mean squared difference of the critic's slope from 1 between real and fake: scalar.

    real, fake: [B, ...], without gradients.  at: where on each line from fake (0) to real (1), [B, 1, ...].
    Gulrajani et al. 2017, eq. 3, without the weight.
    """
    between = (at * real + (1 - at) * fake).requires_grad_(True)
    (slopes,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


class PyTorchGANWganGp(PyTorchGAN):
    """PyTorch-GAN's wgan_gp: the critic's loss is backpropagated into the generator too, which is not used.

    The generator's step follows the first of n_critic batches and takes the noise of the critic's step again.
    """

    label = "the loop of PyTorch-GAN's wgan_gp, written anew"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.steps, self.weight = 0, self.nets.regularizers.by_name["gradient_penalty"].weight

    def points(self, n: int) -> Tensor:
        return torch.from_numpy(self.random.random((n, 1, 1, 1))).float()

    def step(self) -> None:
        generator, critic, x = self.nets.generator, self.nets.discriminator, next(self.source)
        self.optimizer_d.zero_grad()
        z = self.noise(len(x))
        fake = generator(z)
        score = critic(x)
        fake_score = critic(fake)
        penalty = gradient_penalty(critic, x, fake.detach(), self.points(len(x)))
        loss_d = -score.mean() + fake_score.mean() + self.weight * penalty
        loss_d.backward()
        self.optimizer_d.step()

        self.optimizer_g.zero_grad()
        if self.steps % self.nets.d_steps == 0:
            loss_g = -critic(generator(z)).mean()
            loss_g.backward()
            self.optimizer_g.step()
            self.print_losses(loss_d, loss_g)
        self.steps += 1


class TorchganTrainer(PlainAdam):
    """torchgan 0.1's Trainer with its minimax losses, of which each takes a step of its own, the generator's first.

    After each step, the squared gradients of the player's weights are read one by one and summed. Losses are kept in
    lists and running sums, for the console at the end of an epoch; nothing is sent to TensorBoard.
    """

    label = "the loop of torchgan's Trainer, written anew"

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.losses: dict[str, list[float]] = {"generator": [], "discriminator": []}
        self.gradients: dict[str, list[float]] = {"generator": [], "discriminator": []}
        self.sums = {"generator": 0.0, "discriminator": 0.0}

    def step(self) -> None:
        x = next(self.source)
        self.log("generator", self.train_generator(len(x)))
        self.log("discriminator", self.train_discriminator(x))

    def train_generator(self, n: int) -> float:
        z = self.nets.noise(n)
        self.optimizer_g.zero_grad()
        score = self.nets.discriminator(self.nets.generator(z))
        loss = binary_cross_entropy_with_logits(score, torch.ones_like(score))
        loss.backward()
        self.optimizer_g.step()
        return loss.item()

    def train_discriminator(self, x: Tensor) -> float:
        z = self.nets.noise(len(x))
        self.optimizer_d.zero_grad()
        real = self.nets.discriminator(x)
        fake = self.nets.discriminator(self.nets.generator(z).detach())
        loss = binary_cross_entropy_with_logits(real, torch.ones_like(real))
        loss = loss + binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
        loss.backward()
        self.optimizer_d.step()
        return loss.item()

    def log(self, player: str, loss: float) -> None:
        self.losses[player].append(loss)
        self.sums[player] += loss
        net = getattr(self.nets, player)
        gradient = sum(w.grad.square().sum().item() for w in net.parameters() if w.grad is not None)
        self.gradients[player].append(gradient)
        if gradient > 1e-5:
            net.zero_grad()


class HyperGANStep(PlainAdam):
    """The step of HyperGAN 2.0.0a1's reference trainer with ganrun's loss, noise and Adam.

    Left out: its learned prior, its penalty of D, and its run controller, which writes events between the steps. As
    there: one batch of fakes for both players; the real examples are scored in G's step too; each loss and gradient is
    checked for NaN and Inf; all weights and buffers are averaged; eight scalars are read.
    """

    label = "the step of HyperGAN 2.0.0a1, written anew"
    ema = 0.995

    def __init__(self, job: Experiment):
        super().__init__(job)
        self.averaged = copy.deepcopy(self.nets).eval().requires_grad_(False)
        self.rows: list[list[float]] = []

    def build_source(self) -> Iterator[Tensor]:
        return batches_with_replacement(self.examples(), self.size)

    def step(self) -> None:
        generator, discriminator, x = self.nets.generator, self.nets.discriminator, next(self.source)
        fake = generator(self.nets.noise(len(x)))
        self.optimizer_d.zero_grad()
        loss_d = losses.logistic(discriminator(x), discriminator(fake.detach()))
        loss_d.backward()
        self.refuse_nonfinite(loss_d, discriminator)
        self.optimizer_d.step()

        set_requires_grad(discriminator, False)
        self.optimizer_g.zero_grad()
        loss_g = losses.non_saturating(discriminator(fake))
        discriminator(x)
        loss_g.backward()
        self.refuse_nonfinite(loss_g, generator)
        self.optimizer_g.step()
        set_requires_grad(discriminator, True)
        self.average()
        self.rows.append([float(loss.detach()) for loss in (loss_d, loss_g) * 4])

    def refuse_nonfinite(self, loss: Tensor, net: nn.Module) -> None:
        """Raise FloatingPointError if the loss or a gradient has NaN or Inf, found by the kernel of GradScaler."""
        gradients, found = [w.grad for w in net.parameters() if w.grad is not None], torch.zeros(())
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, torch.ones(()))
        if any(torch.stack([~loss.isfinite(), found.bool()]).tolist()):
            raise FloatingPointError("loss or gradient is not finite")

    @torch.no_grad()
    def average(self) -> None:
        torch._foreach_lerp_([*self.averaged.parameters()], [*self.nets.parameters()], 1 - self.ema)
        for averaged, buffer in zip(self.averaged.buffers(), self.nets.buffers(), strict=True):
            averaged.copy_(buffer)


def batches_with_replacement(x: Tensor, size: int) -> Iterator[Tensor]:
    """Yield random batches without end, each by one indexing."""
    while True:
        yield x.index_select(0, torch.randint(len(x), (size,)))

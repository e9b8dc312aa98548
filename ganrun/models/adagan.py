"""A mixture of GANs, each trained on what those before it leave out."""

import copy
from dataclasses import replace
from functools import partial

from torch import Generator, Tensor

from ganrun.models.base import Batch, Player
from ganrun.models.boosting import Rounds, draw_by_weight, restart
from ganrun.models.gan import GAN
from ganrun.models.losses import logistic
from ganrun.networks.mixture import copies, sample_mixture


class AdaGAN(GAN):
    """Tolstikhin et al. 2017, Algorithm 1, with beta 1/t: all components of a mixture weigh the same.

    Each of `components` rounds, of `round_kimg`, trains a generator and a new discriminator; in the first `judge_share`
    of all but round one, a judge learns to tell data from the mixture. Departure: examples are weighted within a batch.
    """

    def __init__(self, generator, discriminator, *args, components, round_kimg, judge_share, **kwargs):
        super().__init__(copies(generator, components), discriminator, *args, **kwargs)
        self.judge, self.first = copy.deepcopy(discriminator), copy.deepcopy(discriminator).requires_grad_(False)
        self.decode = None  # pyright: ignore[reportAttributeAccessIssue]  a sample comes from any of the generators
        self.rounds = Rounds(components, 1000 * round_kimg, judge_share)

    def phase(self) -> tuple[int, bool]:
        return self.rounds.number(self.images_seen), self.rounds.is_judging(self.images_seen)

    def players(self) -> list[Player]:
        players = [Player("judge", [self.judge], self.judge_loss, form=self.phase)]
        for player in super().players():
            loss = partial(self.component_loss, player.loss)
            players.append(replace(player, loss=loss, form=lambda form=player.form: (self.phase(), form())))
        return players

    def judge_loss(self, batch: Batch):
        if self.phase()[1]:
            real, fake = self.judge(batch["x"]), self.judge(self.sample(len(batch["x"])))
            return {"loss": logistic(real, fake), "real": real, "fake": fake}

    def component_loss(self, loss, batch: Batch):
        t, is_judging = self.phase()
        return None if is_judging else loss(draw_by_weight(batch, self.judge(batch["x"]), 1 / (t + 1)) if t else batch)

    def fake_like(self, batch: Batch) -> Tensor:
        return self.generator[self.phase()[0]](self.draw(self.noise, len(batch["x"])))

    def _train_on_batch(self, batch: Batch) -> None:
        before = self.phase()[0]
        super()._train_on_batch(batch)
        for name in ("discriminator", "judge") if self.phase()[0] > before else ():
            restart(getattr(self, name), self.first, self.optimizer_of(name))

    def sample(self, n: int, y: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Return examples [n, ...] of the mixture so far."""
        nets, count = self.net("generator"), self.rounds.finished(self.images_seen)
        return sample_mixture(nets, count, self.noise(n, generator), generator)

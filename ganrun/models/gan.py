"""The original GAN, with a choice of losses and regularizers."""

from torch import Generator, Tensor

from ganrun import seeds
from ganrun.models.base import Adversarial, Batch, Player, Terms, as_terms
from ganrun.models.codes import Decoding
from ganrun.models.losses import choose_objective, loss_of_fakes
from ganrun.models.regularizers import Regularizers
from ganrun.networks import latents


class GAN(Decoding, Adversarial):
    """Goodfellow et al. 2014, Algorithm 1: d_steps steps of D (the paper's k), each on fresh data, then one of G.

    generator: z [B, z_dim] -> x [B, ...].  discriminator: x -> scores.  loss, regularizers: see those files.
    """

    averages, decoder_name = ("generator",), "generator"

    def __init__(self, generator, discriminator, z_dim, d_steps=1, loss=None, regularizers=(), **base):
        d_steps, loss = base.pop("k", d_steps), choose_objective(loss, base.pop("generator_loss", None))  # as in 0.1
        super().__init__(**base)
        self.generator, self.discriminator, self.z_dim = generator, discriminator, z_dim
        self.d_steps, self.objective, self.regularizers = d_steps, loss, Regularizers(regularizers, discriminator)

    def players(self) -> list[Player]:
        discriminator = Player("discriminator", [self.discriminator], self.discriminator_loss)
        discriminator = self.regularizers.penalized(discriminator, self)
        return [discriminator, Player("generator", [self.generator], self.generator_loss, every=self.d_steps)]

    def discriminator_loss(self, batch: Batch):
        real, x = self.score(batch["x"], batch), self.fake_like(batch)
        fake, self.kept["fake"] = self.score(x, batch), x
        return {**as_terms(self.objective.discriminator(real, fake)), "real": real, "fake": fake}

    def generator_loss(self, batch: Batch) -> Tensor | Terms:
        return loss_of_fakes(self, self.score(self.fake_like(batch), batch), batch)

    def after_turn(self, player: Player) -> None:
        self.regularizers.after_turn(player, self)

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)

    def fake_like(self, batch: Batch) -> Tensor:
        return self.generator(self.draw(self.noise, len(batch["x"])))

    def noise(self, n: int, generator: Generator | None = None) -> Tensor:
        return latents.normal(n, self.z_dim, self.some_weight, generator)

    def sample(self, n: int, y: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Return examples [n, ...] of the averaged generator; y is for conditional models."""
        return self.decode(self.noise(n, generator))

    def pictures(self, data):
        n = 2500 if data.kind == "points" else 64
        return {"samples": (self.sample(n, **data.conditions(n, self.takes or ()), generator=seeds.generator(0)), 8)}

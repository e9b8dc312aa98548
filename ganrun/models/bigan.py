"""GANs with an encoder that learns in the same game."""

from dataclasses import replace

from torch import Tensor

from ganrun.models.base import Batch, Player, as_terms
from ganrun.models.codes import Codes, reconstruction_pictures
from ganrun.models.gan import GAN


class BiGAN(Codes, GAN):
    """Donahue et al. 2017, eq. 3, and Dumoulin et al. 2017 (ALI): D tells (E(x), x) from (z, G(z)); E and G confuse it.

    discriminator: (z, x) -> scores.  encoder: x -> codes [B, z_dim], or (mean, log variance) of q(z | x), as in ALI.
    G and E are one player, with D's loss for exchanged roles, as Dumoulin's algorithm 1 says.
    """

    averages = ("generator", "encoder")

    def __init__(self, *args, encoder, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder = encoder

    def players(self) -> list[Player]:
        discriminator, generator = super().players()
        return [discriminator, replace(generator, nets=[self.generator, self.encoder])]

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the scores of x with a code of q(z | x)."""
        return self.discriminator(self.draw_code(self.encoder(x)), x)

    def pair_scores(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the scores of real and of generated pairs."""
        z = self.draw(self.noise, len(batch["x"]))
        x = self.kept["fake"] = self.generator(z)
        return self.score(batch["x"], batch), self.discriminator(z, x)

    def discriminator_loss(self, batch: Batch):
        real, fake = self.pair_scores(batch)
        return {**as_terms(self.objective.discriminator(real, fake)), "real": real, "fake": fake}

    def generator_loss(self, batch: Batch):
        real, fake = self.pair_scores(batch)
        return self.objective.discriminator(fake, real)

    def pictures(self, data):
        return {**super().pictures(data), **reconstruction_pictures(self, data)}

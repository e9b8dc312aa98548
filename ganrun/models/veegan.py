"""The GAN with a reconstructor of its noise."""

from dataclasses import replace

from torch import Tensor

from ganrun.models.base import Batch, Player, as_terms
from ganrun.models.codes import Codes, reconstruction_pictures
from ganrun.models.gan import GAN
from ganrun.models.losses import loss_of_fakes


class VEEGAN(Codes, GAN):
    """Srivastava et al. 2017, Algorithm 1: F maps data to noise and inverts G; D judges pairs of noise and example.

    discriminator: (z, x) -> scores.  reconstructor: F, x -> [B, z_dim].  sigma: deviation of p(z|x) = N(F(x), sigma^2).
    D's score is the log density ratio of pairs (z, x), z ~ p(z|x), to pairs (z, G(z)); the paper's has the other sign.
    F and G are one player, as both of their gradients (lines 9 and 11) are of the same sum. D moves first, on noise of
    its own, as in our other GANs; the paper moves all three at once. Slopes in penalties are those of x -> D(F(x), x).
    """

    averages, encoder_name = ("generator", "reconstructor"), "reconstructor"

    def __init__(self, *args, reconstructor, sigma: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.reconstructor, self.sigma = reconstructor, sigma

    def players(self) -> list[Player]:
        discriminator, generator = super().players()
        return [discriminator, replace(generator, nets=[self.generator, self.reconstructor])]

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the scores of x with noise of p(z|x)."""
        return self.discriminator(self.reconstructor(x) + self.sigma * self.draw(self.noise, len(x)), x)

    def discriminator_loss(self, batch: Batch):
        real, z = self.score(batch["x"], batch), self.draw(self.noise, len(batch["x"]))
        x = self.kept["fake"] = self.generator(z)
        fake = self.discriminator(z, x)
        return {**as_terms(self.objective.discriminator(real, fake)), "real": real, "fake": fake}

    def generator_loss(self, batch: Batch):
        z = self.draw(self.noise, len(batch["x"]))
        x = self.generator(z)
        adversarial = loss_of_fakes(self, self.discriminator(z, x), batch)
        reconstruction = (z - self.reconstructor(x)).square().sum(1).mean()
        return {"loss": adversarial + reconstruction, "adversarial": adversarial, "reconstruction": reconstruction}

    def pictures(self, data):
        return {**super().pictures(data), **reconstruction_pictures(self, data)}

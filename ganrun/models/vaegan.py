"""The variational autoencoder that a discriminator teaches."""

from torch import Tensor

from ganrun.models.base import Batch, Player, Terms, as_terms
from ganrun.models.codes import Codes, reconstruction_pictures
from ganrun.models.gan import GAN
from ganrun.models.likelihoods import gaussian
from ganrun.models.losses import loss_of_fakes
from ganrun.models.vae import gaussian_kl


class VAEGAN(Codes, GAN):
    """Larsen et al. 2016, Algorithm 1: a VAE whose error is that of D's features, and whose decoder also confuses D.

    generator: the decoder, z -> x.  encoder: x -> (mean, log variance) of q(z | x).  discriminator: x -> (scores [B],
    features of a layer).  gamma: weight of the error in the decoder's loss; the encoder's is the bound of the VAE.
    D, encoder and decoder move in turn; in the paper, all at once. D's loss is the mean of those against both fakes.
    """

    averages = ("generator", "encoder")

    def __init__(self, *args, encoder, gamma: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.encoder, self.gamma = encoder, gamma

    def players(self) -> list[Player]:
        discriminator, generator = super().players()
        return [discriminator, Player("encoder", [self.encoder], self.encoder_loss, every=self.d_steps), generator]

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)[0]

    def discriminator_loss(self, batch: Batch):
        x = self.generator(self.draw_code(self.encoder(batch["x"])))
        made = self.kept["fake"] = self.fake_like(batch)
        real, found, fake = (self.score(each, batch) for each in (batch["x"], x, made))
        first, second = (as_terms(self.objective.discriminator(real, scores)) for scores in (found, fake))
        return {**{name: (first[name] + second[name]) / 2 for name in first}, "real": real, "fake": fake}

    def encoder_loss(self, batch: Batch) -> Terms:
        mean, log_variance = self.encoder(batch["x"])
        divergence = gaussian_kl(mean, log_variance).mean()
        _, self.kept["wanted"] = self.discriminator(batch["x"])  # by the decoder's turn, too
        _, error = self.judge(self.generator(self.draw_code((mean, log_variance))))
        return {"loss": divergence + error, "divergence": divergence, "reconstruction": error}

    def generator_loss(self, batch: Batch) -> Terms:
        scores, error = self.judge(self.generator(self.draw_code(self.encoder(batch["x"]))))
        samples = self.score(self.fake_like(batch), batch)
        adversarial = loss_of_fakes(self, scores, batch) + loss_of_fakes(self, samples, batch)
        return {"loss": self.gamma * error + adversarial, "adversarial": adversarial, "reconstruction": error}

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of reconstructions, and -E log N(wanted features; theirs, I), a scalar, eq. 7."""
        scores, features = self.discriminator(x)
        return scores, gaussian(features, self.kept["wanted"]).mean()

    def pictures(self, data):
        return {**super().pictures(data), **reconstruction_pictures(self, data)}

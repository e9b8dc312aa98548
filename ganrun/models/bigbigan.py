"""BiGAN whose discriminator also judges image and code alone."""

import torch

from ganrun.models.base import Batch, as_terms
from ganrun.models.bigan import BiGAN
from ganrun.models.losses import at_least_float32

SCORES = ("x", "z", "xz")


class BigBiGAN(BiGAN):
    """Donahue & Simonyan 2019: D scores x, z and the pair, each with a loss of its own; E and G confuse all of them.

    discriminator: (z, x) -> scores [B, 3] of x, z and pair.  encoder: x -> (mean, log variance) of q(z | x).
    loss: of D, for each of the scores; the paper's is the hinge loss. E and G lower the sum of the scores of (x, E(x))
    and raise that of (G(z), z), whatever the loss of D is.
    Departure: the encoder's deviation is the exponential of half the log variance, as in ALI; a softplus in the paper.
    """

    def discriminator_loss(self, batch: Batch):
        real, fake = self.pair_scores(batch)
        pairs = zip(SCORES, real.unbind(1), fake.unbind(1), strict=True)
        terms = {name: as_terms(self.objective.discriminator(*scores))["loss"] for name, *scores in pairs}
        return {"loss": torch.stack([*terms.values()]).sum(), **terms, "real": real.sum(1), "fake": fake.sum(1)}

    def generator_loss(self, batch: Batch):
        real, fake = map(at_least_float32, self.pair_scores(batch))
        return real.sum(1).mean() - fake.sum(1).mean()

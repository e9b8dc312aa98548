"""The auxiliary classifier GAN."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from ganrun.models.base import Batch, as_terms
from ganrun.models.cgan import CGAN
from ganrun.models.losses import at_least_float32, loss_of_fakes


def classification(logits: Tensor, y: Tensor) -> Tensor:
    """-E log P(C = y): minus the paper's L_C for these examples. Odena et al. 2017, eq. 3."""
    return cross_entropy(at_least_float32(logits), y)


class ACGAN(CGAN):
    """Odena et al. 2017, section 3: D tells real from fake and names the class; both players want the class named.

    generator: (z, y) -> x.  discriminator: x -> (scores [B], class logits [B, classes]).
    weight: of the classes' cross entropy in both losses; 1 in the paper.
    """

    def __init__(self, *args, weight: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.weight = weight

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)[0]

    def discriminator_loss(self, batch: Batch):
        (real, of_real), x = self.discriminator(batch["x"]), self.fake_like(batch)
        (fake, of_fake), self.kept["fake"] = self.discriminator(x), x
        terms = as_terms(self.objective.discriminator(real, fake))
        classes = classification(of_real, batch["y"]) + classification(of_fake, batch["y"])
        scores = {"classes": classes, "real": real, "fake": fake}
        return {**terms, "loss": terms["loss"] + self.weight * classes, **scores}

    def generator_loss(self, batch: Batch):
        fake, logits = self.discriminator(self.fake_like(batch))
        classes = classification(logits, batch["y"])
        return {"loss": loss_of_fakes(self, fake, batch) + self.weight * classes, "classes": classes}

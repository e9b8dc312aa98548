"""The GAN whose discriminator also puts shuffled images in order."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from ganrun.models.base import Batch
from ganrun.models.gan import GAN
from ganrun.models.losses import at_least_float32, loss_of_fakes
from ganrun.networks.tiles import far_permutations, shuffle_tiles


class DeshuffleGAN(GAN):
    """Baykal & Unal 2020 (DeshuffleGAN): D names the permutation of the tiles of real images, G wants its own named.

    discriminator: x -> (scores [B], logits of the permutations [B, permutations]).
    side: tiles per row and column.  of_real, of_fake: weights of the cross entropies, the paper's alpha and beta.
    Departure: images whose sides are no multiple of `side` lose some pixels of the shuffled copy, filled with -1.
    """

    permutations: Tensor

    def __init__(self, *args, side: int, permutations: int, of_real: float, of_fake: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.side, self.of_real, self.of_fake = side, of_real, of_fake
        self.register_buffer("permutations", far_permutations(side**2, permutations), persistent=False)

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)[0]

    def deshuffling(self, x: Tensor) -> Tensor:
        """Return the cross entropy of naming which permutation the tiles of x have undergone: scalar."""
        number = self.draw(lambda n: torch.randint(len(self.permutations), (n,), device=x.device), len(x))
        shuffled = shuffle_tiles(x, self.permutations[number], self.side)
        right, below = x.shape[3] - shuffled.shape[3], x.shape[2] - shuffled.shape[2]
        _, logits = self.discriminator(pad(shuffled, (0, right, 0, below), value=-1.0))
        return cross_entropy(at_least_float32(logits), number)

    def discriminator_loss(self, batch: Batch):
        terms, deshuffled = super().discriminator_loss(batch), self.deshuffling(batch["x"])
        return {**terms, "loss": terms["loss"] + self.of_real * deshuffled, "deshuffled": deshuffled}

    def generator_loss(self, batch: Batch):
        x = self.fake_like(batch)
        adversarial, deshuffled = loss_of_fakes(self, self.score(x, batch), batch), self.deshuffling(x)
        return {"loss": adversarial + self.of_fake * deshuffled, "deshuffled": deshuffled}

"""The GAN whose discriminator judges several examples at once."""

from torch import Tensor

from ganrun.models.base import Batch
from ganrun.models.gan import GAN


class PacGAN(GAN):
    """Lin et al. 2018, section 3: the discriminator gets packs of `pack` real, or of `pack` generated, examples.

    A pack is joined on the first axis: `pack` images [C, H, W] are one of pack * C channels, points one long point.
    Penalties of the discriminator's slope treat each example of a pack by itself; the paper has none.
    """

    def __init__(self, *args, pack: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.pack = self.batch_divisor = pack
        self.trial_size = 2 * pack

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        """Return the scores of the packs of examples x [B, ...]: [B / pack]."""
        return self.discriminator(x.unflatten(0, (-1, self.pack)).flatten(1, 2))

"""The autoencoder."""

from torch import Tensor
from torch.nn.functional import mse_loss

from ganrun.models.base import Adversarial, Batch, Player, Terms
from ganrun.models.codes import Codes, reconstruction_pictures
from ganrun.models.losses import at_least_float32


class Autoencoder(Codes, Adversarial):
    """Hinton & Salakhutdinov 2006: codes from which a decoder finds the examples again. It draws no samples.

    encoder: x [B, ...] -> codes [B, z_dim].  decoder: codes -> x.  The loss is the mean of (x - decoder(encoder(x)))^2.
    """

    averages = ("encoder", "decoder")

    def __init__(self, encoder, decoder, z_dim: int, **base):
        super().__init__(**base)
        self.encoder, self.decoder, self.z_dim = encoder, decoder, z_dim

    def players(self) -> list[Player]:
        return [Player("autoencoder", [self.encoder, self.decoder], self.reconstruction_loss)]

    def reconstruction_loss(self, batch: Batch) -> Tensor | Terms:
        return mse_loss(at_least_float32(self.decoder(self.encoder(batch["x"]))), at_least_float32(batch["x"]))

    def pictures(self, data):
        return reconstruction_pictures(self, data)

"""The autoencoder, and what models share that reconstruct examples."""

import torch
from torch import Tensor

from ganrun.models.base import Adversarial, Batch, Player, Terms
from ganrun.networks.eval_mode import eval_mode


def reconstruction_pictures(model, data, columns: int = 8, rows: int = 4) -> tuple[Tensor, int]:
    """Return rows of test examples, each above the row of their reconstructions, and the number of columns."""
    x = data.test("x", columns * rows).to(model.device).float()
    pairs = torch.stack([x, model.reconstruct(x).float()]).unflatten(1, (rows, columns))
    return pairs.transpose(0, 1).flatten(0, 2), columns


class Autoencoder(Adversarial):
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
        return (self.decoder(self.encoder(batch["x"])).float() - batch["x"]).square().mean()

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes of examples x [n, ...]: [n, z_dim]."""
        with eval_mode(self.net("encoder")) as net:
            return net(x)

    def decode(self, z: Tensor) -> Tensor:
        """Return the examples of codes z [n, z_dim]: [n, ...]."""
        with eval_mode(self.net("decoder")) as net:
            return net(z)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def pictures(self, data):
        return {"reconstructions": reconstruction_pictures(self, data)}

"""The GAN whose codes can be read from its examples."""

import torch
from torch import Tensor

from ganrun.models.base import Batch, Terms, as_terms
from ganrun.models.gan import GAN
from ganrun.models.losses import at_least_float32, loss_of_fakes
from ganrun.models.recognition import Recognition, code_pictures
from ganrun.networks import latents
from ganrun.networks.codes import LatentCodes


class InfoGAN(Recognition, GAN):
    """Chen et al. 2016, eq. 6: Q finds the codes c of G's examples, which bounds the information that these have of c.

    generator: z [B, z_dim] -> x; codes lead z.  discriminator: builds x -> (scores [B], Q's parameters [B, outputs]).
    codes: see LatentCodes.  weight, continuous_weight: lambda of categories, and of the other codes.  ramp_kimg: of D's
    images on each device, in thousands, within which both grow from 0.
    Q shares D's features, and both players lower its cost, as in the authors' code; in eq. 6, G and Q do.
    """

    seen: Tensor

    def __init__(self, *args, discriminator, codes, weight, continuous_weight, ramp_kimg, **kwargs):
        codes = LatentCodes(codes, kwargs["z_dim"])
        super().__init__(*args, discriminator=discriminator(outputs=codes.size), **kwargs)
        self.codes, self.ramp = codes, 1000 * ramp_kimg
        self.weights = {name: weight if code.size > 1 else continuous_weight for name, code in codes.items()}
        self.register_buffer("seen", torch.tensor(0))  # images that D has seen; a replayed step reads it

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        codes = self.codes.draw(n, self.some_weight, generator)
        return torch.cat([codes, latents.normal(n, self.z_dim - self.codes.size, codes, generator)], dim=1)

    def score(self, x: Tensor, batch: Batch) -> Tensor:
        return self.discriminator(x)[0]

    def discriminator_loss(self, batch: Batch):
        self.seen += len(batch["x"])
        real, z = self.score(batch["x"], batch), self.draw(self.noise, len(batch["x"]))
        x = self.kept["fake"] = self.generator(z)
        fake, q = self.discriminator(x)
        return self.informed(as_terms(self.objective.discriminator(real, fake)), q, z) | {"real": real, "fake": fake}

    def generator_loss(self, batch: Batch) -> Terms:
        z = self.draw(self.noise, len(batch["x"]))
        fake, q = self.discriminator(self.generator(z))
        return self.informed({"loss": loss_of_fakes(self, fake, batch)}, q, z)

    def informed(self, terms: Terms, q: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Return a loss less lambda L_I, without the constant entropies, and L_I of each code, eq. 5, in nats."""
        costs = self.codes.negative_logs(at_least_float32(q), z)
        share = (self.seen.to(terms["loss"].dtype) / max(self.ramp, 1)).clamp(max=1)
        loss = terms["loss"] + share * sum(self.weights[name] * cost for name, cost in costs.items())
        bounds = {f"information_{name}": self.codes[name].entropy - cost for name, cost in costs.items()}
        return {**terms, "loss": loss, **bounds}

    def pictures(self, data):
        return {**super().pictures(data), **code_pictures(self, data)}

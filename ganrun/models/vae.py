"""The variational autoencoder."""

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.models.autoencoder import Autoencoder
from ganrun.models.base import Batch, Terms
from ganrun.models.likelihoods import LIKELIHOODS
from ganrun.models.losses import at_least_float32
from ganrun.networks import latents


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) of [B, z_dim]: [B]. Kingma & Welling 2014, appendix B."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


class VAE(Autoencoder):
    """Kingma & Welling 2014, eq. 7 with one z of each x: -log p(x | z) + beta KL(q(z | x) || p(z)), a mean over x.

    encoder: x -> (mean, log variance) of q(z | x), each [B, z_dim].  decoder: z -> x.
    likelihood: p(x | z), "gaussian" or "bernoulli".  beta: 1 is the evidence lower bound; Higgins et al. 2017, eq. 4.
    """

    def __init__(self, *args, likelihood: str, beta: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.beta, self.negative_log = beta, LIKELIHOODS[likelihood]

    def reconstruction_loss(self, batch: Batch) -> Terms:
        mean, log_variance = self.encoder(batch["x"])
        z = self.draw_code((mean, log_variance))
        reconstruction = self.negative_log(self.decoder(z), batch["x"]).mean()
        divergence = gaussian_kl(mean, log_variance).mean()
        loss = reconstruction + self.beta * divergence
        return {"loss": loss, "reconstruction": reconstruction, "divergence": divergence}

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return latents.normal(n, self.z_dim, self.some_weight, generator)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Return examples [n, ...]: the means of p(x | z), z ~ N(0, I)."""
        return self.decode(self.noise(n, generator))

    def pictures(self, data):
        return {"samples": (self.sample(64, seeds.generator(0)), 8), **super().pictures(data)}

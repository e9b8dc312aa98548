"""InfoGAN with a contrastive regularizer."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganrun.errors import UserError
from ganrun.models.base import Batch, Player, Terms
from ganrun.models.infogan import InfoGAN
from ganrun.models.losses import at_least_float32


class InfoGANCR(InfoGAN):
    """Lin et al. 2020, and the authors' code: H names the one code that two of G's examples share, and G helps it.

    contrastive: builds H, two images joined by channel [B, 2 C, H, W] -> logits of the codes [B, outputs].
    contrastive_weight: alpha.  begin_kimg: thousand images before the pairs.  gap, gap_end: least difference of codes
    that are not shared, which goes from one to the other within gap_kimg; categories differ while it is not 0.
    As in the authors' code, a pair has all other noise in common, and H is untrained when the pairs begin. Departures:
    the gap falls linearly, there in one step at which H starts anew; G has one step per batch, there two on H's pairs.
    """

    gap: Tensor  # of this batch; a replayed step reads it

    def __init__(self, *args, contrastive, contrastive_weight, begin_kimg, gap, gap_end, gap_kimg, **kwargs):
        super().__init__(*args, **kwargs)
        if len(self.codes) < 2:
            raise UserError("model=infogan_cr needs two codes or more. For example +model.codes.c2=uniform")
        self.contrastive, self.contrastive_weight = contrastive(outputs=len(self.codes)), contrastive_weight
        self.begin, self.gap_images, self.gaps = 1000 * begin_kimg, 1000 * gap_kimg, (gap, gap_end)
        self.register_buffer("gap", torch.tensor(float(gap)), persistent=False)

    def players(self) -> list[Player]:
        discriminator, generator = super().players()
        contrastive = Player("contrastive", [self.contrastive], self.contrastive_loss, every=lambda _: self.has_begun)
        return [discriminator, contrastive, replace(generator, form=lambda: self.has_begun)]

    @property
    def has_begun(self) -> bool:
        return self.images_seen >= self.begin

    def _train_on_batch(self, batch: Batch) -> None:
        share = min(max(self.images_seen - self.begin, 0) / max(self.gap_images, 1), 1)
        self.gap.fill_((1 - share) * self.gaps[0] + share * self.gaps[1])
        super()._train_on_batch(batch)

    def contrastive_loss(self, batch: Batch) -> Terms:
        z = self.draw(self.noise, len(batch["x"]))
        apart = self.draw(lambda n: self.codes.draw_apart(n, z, self.gap), len(z))
        k = self.draw(lambda n: torch.randint(len(self.codes), (n,), device=z.device), len(z))
        pairs = torch.cat([self.generator(each) for each in self.codes.share(k, z, apart)], dim=1)
        logits = at_least_float32(self.contrastive(pairs))
        return {"loss": cross_entropy(logits, k), "named": (logits.argmax(1) == k).float()}

    def generator_loss(self, batch: Batch) -> Terms:
        terms = super().generator_loss(batch)
        contrast = self.contrastive_weight * self.contrastive_loss(batch)["loss"] if self.has_begun else 0
        return {**terms, "loss": terms["loss"] + contrast}

"""Discriminators that also return what a layer of theirs computes."""

from collections.abc import Callable

from torch import Tensor, nn

from ganrun.networks.dcgan import Discriminator


class FeatureDiscriminator(nn.Module):
    """Images [B, *shape] -> scores [B] and the features before the score, [B, channels, H, W]. Larsen et al. 2016.

    net: builds a ganrun.networks.dcgan.Discriminator.
    """

    def __init__(self, net: Callable[..., Discriminator]):
        super().__init__()
        whole = net()
        self.features, self.score = whole.features, whole.score

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return self.score(features).flatten(), features

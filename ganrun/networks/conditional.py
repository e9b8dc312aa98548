"""Networks with a class y, int64 [B], as a second input: joined to the first input or to features.

Generators with `takes_class_weights` also take weights of the classes, float [B, classes], for what lies between them.
"""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn

from ganrun.networks.dcgan import Discriminator
from ganrun.networks.mlp import Maxout


def one_hot(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return y one-hot, [B, classes], with the dtype of `like`; y may be such weights already.

    Unlike torch's, it does not wait for the device.
    """
    if y.ndim == 2:
        return y.to(like.dtype)
    return (y[:, None] == torch.arange(classes, device=y.device)).to(like.dtype)


def label_maps(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """Return y one-hot as planes of the size of `like` [B, ., H, W]: [B, classes, H, W]."""
    planes = one_hot(y, classes, like)[:, :, None, None]
    return planes.expand(-1, -1, *like.shape[2:])


class LabelledGenerator(nn.Module):
    """(z [B, z_dim], y) -> images: a generator whose input is z joined to the one-hot y.

    net: builds the generator from its z_dim, here z_dim + classes.
    """

    takes_class_weights = True

    def __init__(self, net: Callable[..., nn.Module], z_dim: int, classes: int):
        super().__init__()
        self.net, self.classes = net(z_dim=z_dim + classes), classes

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([z, one_hot(y, self.classes, z)], dim=1))


class LabelMapDiscriminator(nn.Module):
    """(images [B, *shape], y) -> scores [B]: a discriminator whose input is x with one channel more per class.

    net: builds the discriminator from its shape, here (C + classes, H, W).
    """

    def __init__(self, net: Callable[..., nn.Module], shape: Sequence[int], classes: int):
        super().__init__()
        channels, *sides = shape
        self.net, self.classes = net(shape=(channels + classes, *sides)), classes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([x, label_maps(y, self.classes, x)], dim=1))


class HiddenJoinDiscriminator(nn.Module):
    """(images [B, *shape], y) -> scores [B]: y joins the last feature maps before a 1x1 convolution and the score.

    Reed et al. 2016, section 4.1, with the one-hot class in place of their compressed text embedding.
    net: builds a ganrun.networks.dcgan.Discriminator from its shape.
    """

    def __init__(self, net: Callable[..., Discriminator], shape: Sequence[int], classes: int):
        super().__init__()
        unconditional = net(shape=shape)
        self.features, self.score, self.classes = unconditional.features, unconditional.score, classes
        channels = unconditional.channels
        self.join = nn.Sequential(
            nn.Conv2d(channels + classes, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.2, True),
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        features = self.features(x)
        joined = torch.cat([features, label_maps(y, self.classes, features)], dim=1)
        return self.score(self.join(joined)).flatten()


class ClassifyingDiscriminator(nn.Module):
    """Images [B, *shape] -> scores [B] and logits [B, outputs], from the same features. Odena et al. 2017.

    net: builds a ganrun.networks.dcgan.Discriminator from its shape.
    """

    def __init__(self, net: Callable[..., Discriminator], shape: Sequence[int], outputs: int):
        super().__init__()
        unconditional = net(shape=shape)
        self.features, self.score = unconditional.features, unconditional.score
        self.classify = self.head(unconditional.channels, unconditional.smallest, outputs)

    def head(self, channels: int, sides: tuple[int, int], outputs: int) -> nn.Module:
        """Return what maps features [B, channels, *sides] to [B, outputs], or [B, outputs, 1, 1]."""
        return nn.Conv2d(channels, outputs, sides)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        return self.score(features).flatten(), self.classify(features).flatten(1)


class RecognizingDiscriminator(ClassifyingDiscriminator):
    """Images [B, *shape] -> scores [B], and what a hidden layer of its own reads from the same features, [B, outputs].

    Chen et al. 2016, appendix C.1: Q of the digits has a layer of 128 units with BatchNorm, and a linear one.
    """

    hidden = 128

    def head(self, channels: int, sides: tuple[int, int], outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, self.hidden, sides, bias=False),
            nn.BatchNorm2d(self.hidden),
            nn.LeakyReLU(0.2, True),
            nn.Flatten(),
            nn.Linear(self.hidden, outputs),
        )


class MirzaGenerator(nn.Module):
    """(z [B, z_dim], y) -> images in [-1, 1]: ReLU layers z -> 200 and y -> 1000, then 1200. Mirza 2014, section 4.1.

    Departure: tanh for the paper's sigmoid, because images are in [-1, 1] here.
    """

    takes_class_weights = True

    def __init__(self, shape: Sequence[int], z_dim: int, classes: int, dropout: float = 0.5):
        super().__init__()
        self.from_z, self.from_y = nn.Linear(z_dim, 200), nn.Linear(classes, 1000)
        self.joint = nn.Linear(1200, 1200)
        self.out = nn.Linear(1200, prod(shape))
        self.drop = nn.Dropout(dropout)
        self.shape, self.classes = tuple(shape), classes

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        hidden = torch.cat([self.from_z(z), self.from_y(one_hot(y, self.classes, z))], dim=1)
        hidden = self.drop(self.joint(self.drop(hidden.relu())).relu())
        return self.out(hidden).tanh().unflatten(1, self.shape)


class MirzaDiscriminator(nn.Module):
    """(images, y) -> scores [B]: maxout x -> 240 of 5, y -> 50 of 5, both -> 240 of 4. Mirza 2014, section 4.1."""

    def __init__(self, shape: Sequence[int], classes: int, dropout: float = 0.5):
        super().__init__()
        self.from_x, self.from_y = Maxout(prod(shape), 240, 5), Maxout(classes, 50, 5)
        self.joint = Maxout(290, 240, 4)
        self.score = nn.Linear(240, 1)
        self.drop = nn.Dropout(dropout)
        self.classes = classes

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        hidden = torch.cat([self.from_x(x.flatten(1)), self.from_y(one_hot(y, self.classes, x))], dim=1)
        return self.score(self.drop(self.joint(self.drop(hidden)))).squeeze(1)

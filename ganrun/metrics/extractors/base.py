"""Networks that turn pictures into features and logits, for scores."""

import logging
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from ganrun.errors import UserError, did_you_mean
from ganrun.metrics.extractors.inception import InceptionV3
from ganrun.metrics.extractors.lenet import LeNet
from ganrun.metrics.extractors.resize import PROTOCOLS, resize_antialiased, to_grey
from ganrun.metrics.extractors.weights import INCEPTION_DIGEST, find_inception, load_weights, resolve_weights
from ganrun.paths import assets_dir

log = logging.getLogger(__name__)
ASSETS = assets_dir()


class Extractor:
    """Maps uint8 pictures [B, C, H, W] to features [B, num_features] and logits [B, K], float32.

    It is no nn.Module: a model that holds one must not take its weights for its own.
    """

    name: str
    resize: str
    num_features: int
    num_logits: int
    at_once = 500  # pictures in one pass of the network
    classes: list[str] | None = None  # what its logits stand for, where data may ask for it

    def __init__(self, weights: str | Path | None = None):
        """weights: a file in the network's own layout; None: the usual weights."""
        self.weights = weights
        self.network: nn.Module | None = None
        self.digest: str | None = None

    def load(self) -> None:
        """Find, check and load the weights; a second call does nothing. Raises UserError when that is impossible."""
        if self.network is None:
            path = resolve_weights(self.weights) if self.weights else self.find()
            network = self.build()
            self.digest = load_weights(network, path)
            self.network = network.eval().requires_grad_(False)

    def named(self, score: str) -> str:
        """A score's name with its extractor in it: fd -> fd_lenet; Inception alone has fid."""
        return f"{score}_{self.name}"

    def build(self) -> nn.Module:
        """The network without its weights."""
        raise NotImplementedError

    def find(self) -> Path:
        """The file of the usual weights."""
        raise NotImplementedError

    def fit(self, images: Tensor) -> Tensor:
        """Float pictures 0..255 as the network takes them."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.load()
        with torch.autocast(images.device.type, enabled=False):
            return self._in_parts(images, self.at_once)

    def _in_parts(self, images: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """`most` pictures at once, and half as many where a GPU's memory does not do for that."""
        network = self.network.to(images.device)
        try:
            found = [network(self.fit(part.float())) for part in images.split(most)]
        except torch.cuda.OutOfMemoryError:
            if most == 1:
                raise
            return self._in_parts(images, most // 2)
        features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return features, logits


class LeNetExtractor(Extractor):
    """The classifier of digits that comes with the package; scores by it are called fd_lenet and is_lenet."""

    name = "lenet"
    resize = "antialiased bilinear to 28x28, grey by luminance"
    num_features, num_logits = LeNet.num_features, 10
    classes = [str(digit) for digit in range(10)]

    def build(self) -> nn.Module:
        return LeNet()

    def find(self) -> Path:
        return ASSETS / "lenet.safetensors"

    def fit(self, images: Tensor) -> Tensor:
        return resize_antialiased(to_grey(images), 28) / 127.5 - 1


class InceptionExtractor(Extractor):
    """The network of the 2015-12-05 weights.

    resize: how pictures become 299x299, a name of resize.PROTOCOLS; scores by different ones are not comparable.
    Its logits are those before the bias (torch-fidelity's logits_unbiased).
    """

    name = "inception"
    num_features, num_logits = InceptionV3.num_features, 1008
    at_once = 50  # about a gigabyte

    def __init__(self, weights: str | Path | None = None, resize: str = "tf1"):
        super().__init__(weights)
        if resize not in PROTOCOLS:
            raise UserError(f"metrics.extractor.resize={resize} is not known.{did_you_mean(str(resize), PROTOCOLS)}")
        self._resize, words = PROTOCOLS[resize]
        self.resize = f"{resize}: {words}, to 299x299"

    def load(self) -> None:
        is_new = self.network is None
        super().load()
        if is_new and self.digest != INCEPTION_DIGEST:
            log.warning(
                "%s (sha256 %s) is not the public 2015-12-05 file (%s): FID and IS compare with no published number.",
                self.weights,
                self.digest[:8],
                INCEPTION_DIGEST[:8],
            )

    def named(self, score: str) -> str:
        return re.sub(r"(^|_)fd", r"\1fid", score)

    def build(self) -> nn.Module:
        return InceptionV3().to(memory_format=torch.channels_last)

    def find(self) -> Path:
        return find_inception()

    def fit(self, images: Tensor) -> Tensor:
        images = images.expand(-1, 3, -1, -1)
        return (self._resize(images, 299) - 128) / 128

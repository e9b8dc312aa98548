"""Extractors: networks that turn images into features and logits for the scores; those of Inception and LeNet."""

import logging
import re
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from ganrun.errors import UserError, did_you_mean
from ganrun.files import assets_dir, cache_dir
from ganrun.metrics.extractors.inception import InceptionV3
from ganrun.metrics.extractors.resize import PREPROCESSING, resize_antialiased, to_grey
from ganrun.metrics.extractors.weights import (
    INCEPTION,
    PublishedWeights,
    find_weights,
    load_weights,
    resolve_weights,
)

log = logging.getLogger(__name__)


class Extractor:
    """Maps uint8 images [B, C, H, W] to features [B, num_features] and logits [B, num_logits], float32.

    It is not an nn.Module: a model that holds one must not count its weights as its own.

    name: suffix of the scores' names.   resize: how images are resized, in words, part of the protocol.
    equals: the packages that compute the same Frechet distance from the same weights, in words; "" if none does.
    at_once: images in one pass of the network.   classes: class names of the logits (None: not used).
    num_logits: 0 if the network is no classifier; scores that need logits are then refused.
    published: the default weights, unless `find` is overridden.   is_smooth: whether `fit` rounds no pixels.
    """

    name: str
    resize: str
    num_features: int
    num_logits: int
    equals = ""
    at_once = 500
    classes: list[str] | None = None
    published: PublishedWeights | None = None
    is_smooth = True

    def __init__(self, weights: str | Path | None = None):
        """weights: a file in the network's own layout (None: the default weights)."""
        self.weights = weights
        self.network: nn.Module | None = None
        self.digest = ""  # SHA-256 of the weight file, once loaded

    def load(self) -> None:
        """Find, check and load the weights, once. Raises UserError if that fails."""
        if self.network is None:
            path = resolve_weights(self.weights) if self.weights else self.find()
            network, self.digest = self.load_network(path)
            self.network = network.eval().requires_grad_(False)
            if self.published and self.digest != self.published.digest:
                message = "%s (sha256 %s) is not the public %s file (%s): do not compare %s to published ones."
                names = self.published.network, self.published.digest[:8], self.published.scores
                log.warning(message, self.weights, self.digest[:8], *names)

    def named(self, score: str) -> str:
        """A score's name with the extractor's: fd -> fd_lenet. Only Inception's is called fid."""
        return f"{score}_{self.name}"

    def protocol(self) -> dict[str, str]:
        """What scores depend on, once the weights are loaded."""
        return {"extractor": self.name, "weights": f"sha256:{self.digest[:16]}", "resize": self.resize}

    def build(self) -> nn.Module:
        """Return the network with random weights."""
        raise NotImplementedError

    def load_network(self, path: Path) -> tuple[nn.Module, str]:
        """Return the network with the weights of a file, and its SHA-256. Raises UserError if it does not fit."""
        network = self.build()
        return network, load_weights(network, path)

    def find(self) -> Path:
        """Return the file of the default weights; download it if needed."""
        assert self.published is not None
        return find_weights(self.published)

    def describe_download(self) -> str:
        """Return what `load` downloads, with its size; "" if the weights are here, or are given and must be."""
        if self.weights or self.published is None or self.published.path.is_file():
            return ""
        return f"the {self.published.network} weights ({self.published.megabytes} MB), to {cache_dir()}"

    def fit(self, images: Tensor) -> Tensor:
        """Turn float images 0..255, [B, C, H, W], into what the network expects."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, num_features] and logits [B, num_logits] of uint8 images [B, C, H, W].

        If a GPU runs out of memory, half as many images are computed at once from then on.
        """
        self.load()
        assert self.network is not None
        network = self.network.to(images.device)
        try:
            with torch.autocast(images.device.type, enabled=False):
                outputs = [network(self.fit(part.float())) for part in images.split(self.at_once)]
        except torch.cuda.OutOfMemoryError:
            if self.at_once == 1:
                raise
            self.at_once //= 2
            return self(images)
        features, logits = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return features, logits

    def check_smooth(self) -> None:
        """Raise UserError if `fit` rounds images to whole numbers, so that small changes do not reach the features."""
        if not self.is_smooth:
            raise UserError(
                f"{self.name} sees images of 8 bits, as published: its features do not follow small changes of them. "
                "Use metrics=lenet (digits) or metrics=inception (other images)."
            )

    def embed(self, x: Tensor) -> Tensor:
        """Features [B, num_features] of images x [B, C, H, W] in [-1, 1], not rounded; with their gradient."""
        self.check_smooth()
        self.load()
        assert self.network is not None
        with torch.autocast(x.device.type, enabled=False):
            return self.network.to(x.device)(self.fit((x.float() + 1) * 127.5))[0]


class LeNet(nn.Module):
    """Two convolutions of 5x5 (16 and 32 channels, ReLU, 2x2 max pooling), 128 ReLU features, 10 logits.

    LeNet-5 (LeCun et al. 1998) with ReLU and max pooling. Weights: scripts/train_lenet.py.
    """

    num_features = 128

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.hidden = nn.Linear(32 * 4 * 4, self.num_features)
        self.classes = nn.Linear(self.num_features, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 128] and logits [B, 10] of x: [B, 1, 28, 28] in [-1, 1]."""
        h = max_pool2d(relu(self.conv1(x)), 2)
        h = max_pool2d(relu(self.conv2(h)), 2)
        features = relu(self.hidden(torch.flatten(h, 1)))
        return features, self.classes(features)


class LeNetExtractor(Extractor):
    """The shipped classifier of digits; its scores are called fd_lenet, is_lenet and so on."""

    name = "lenet"
    resize = "antialiased bilinear to 28x28, grey by luminance"
    num_features, num_logits = LeNet.num_features, 10
    classes = [str(digit) for digit in range(10)]

    def build(self) -> nn.Module:
        return LeNet()

    def find(self) -> Path:
        return assets_dir() / "lenet.safetensors"

    def fit(self, images: Tensor) -> Tensor:
        return resize_antialiased(to_grey(images), 28) / 127.5 - 1


class InceptionExtractor(Extractor):
    """The Inception network with the 2015-12-05 weights, which define FID and the Inception Score.

    resize: how images become the network's input, a name in PREPROCESSING; scores with different ones are not
    comparable.
    """

    name = "inception"
    num_features, num_logits = InceptionV3.num_features, 1008
    at_once = 50  # takes about 1 GB
    published = INCEPTION

    def __init__(self, weights: str | Path | None = None, resize: str = "tf1"):
        super().__init__(weights)
        if resize not in PREPROCESSING:
            raise UserError(f"There is no metrics.extractor.resize={resize}.{did_you_mean(str(resize), PREPROCESSING)}")
        self._preprocess = PREPROCESSING[resize]
        self.resize = f"{resize}: {self._preprocess.description}, to 299x299"
        self.equals = self._preprocess.equals

    def named(self, score: str) -> str:
        return re.sub(r"(^|_)fd", r"\1fid", score)

    def build(self) -> nn.Module:
        return InceptionV3().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub lacks it

    def fit(self, images: Tensor) -> Tensor:
        return self._preprocess(images.expand(-1, 3, -1, -1), 299)

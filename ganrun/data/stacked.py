"""Stacked digits: three random digits as the channels of one image, a data set of 1,000 modes."""

from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from ganrun.data.cache import LoadedData
from ganrun.data.decode import Size
from ganrun.data.digits import Digits
from ganrun.data.idx import Mnist
from ganrun.data.source import Source
from ganrun.errors import UserError
from ganrun.seeds import named_generator

TEST_TRIPLES = 26_000  # number used in the papers


class StackedImages:
    """Images uint8 [N, 3, H, W], stacked when they are read: 128,000 of them would take 300 MB.

    digits: uint8 [D, H, W].  triples: int64 [N, 3], indices of digits.  Methods: those of tensors that data sets use.
    """

    dtype = torch.uint8

    def __init__(self, digits: Tensor, triples: Tensor):
        self.digits, self.triples = digits, triples

    def __len__(self) -> int:
        return len(self.triples)

    @property
    def shape(self) -> torch.Size:
        return torch.Size([*self.triples.shape, *self.digits.shape[1:]])

    @property
    def device(self) -> torch.device:
        return self.triples.device

    @property
    def nbytes(self) -> int:
        return self.digits.nbytes + self.triples.nbytes

    def to(self, device: torch.device) -> "StackedImages":
        return StackedImages(self.digits.to(device), self.triples.to(device))

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return the images at these indices. dim: 0."""
        triples = self.triples.index_select(dim, index)
        return self.digits.index_select(0, triples.flatten()).unflatten(0, triples.shape)

    def __getitem__(self, index: int | slice | Tensor) -> Tensor:
        return self.digits[self.triples[index]]


class StackedSource(Source):
    """Triples of random digits of a source; y = 100 a + 10 b + c for the digits a, b, c.

    Metz et al. 2017 (Unrolled GAN); Lin et al. 2018 (PacGAN) train on 128,000 triples. Departure from PacGAN's code:
    training triples consist of training digits only, and test triples of test digits.
    """

    classes = [f"{mode:03d}" for mode in range(1000)]

    def __init__(self, digits: Source, triples: int, seed: int):
        """digits: images [N, 1, H, W] with labels 0..9.   triples: number for training.   seed: of the triples."""
        if triples < 1:
            raise UserError(f"data.triples must be positive, got {triples}.")
        self.digits, self.triples, self.seed = digits, triples, seed

    def prepare(self) -> None:
        self.digits.prepare()

    def load(self) -> LoadedData:
        digits = self.digits.load()
        counts = {"train": self.triples, "test": TEST_TRIPLES}
        splits = {split: self._stack(split, count, **digits.splits[split]) for split, count in counts.items()}
        key = f"{digits.fingerprint}/{self.name}/{self.triples}/{self.seed}"
        return LoadedData(splits, sha256(key.encode()).hexdigest()[:32], classes=self.classes)

    def _stack(self, split: str, count: int, x: Tensor, y: Tensor) -> dict[str, Any]:
        triples = torch.randint(len(x), (count, 3), generator=named_generator(self.seed, self.name, split))
        a, b, c = y[triples].unbind(1)
        return {"x": StackedImages(x[:, 0], triples), "y": 100 * a + 10 * b + c}


class StackedDigits(StackedSource):
    """Triples of the shipped digits; all 1,000 modes are equally likely."""

    name = "stacked_digits"

    def __init__(self, size: Size, triples: int, seed: int = 0):
        super().__init__(Digits(size, channels=1), triples, seed)


class StackedMnist(StackedSource):
    """Triples of MNIST's digits, from its files below `root`; downloaded if `root` is None."""

    name = "stacked_mnist"

    def __init__(self, root: str | None, size: Size, triples: int, seed: int = 0):
        super().__init__(Mnist(root, size, channels=1), triples, seed)

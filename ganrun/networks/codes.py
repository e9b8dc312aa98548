"""Codes: the leading numbers of a latent z, with a name and a distribution each, which a network may recognize."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ganrun.errors import UserError
from ganrun.networks import code_pairs, latents


class Code(Protocol):
    """One code. size: its numbers in z, and as many parameters of Q(c | x).  entropy: H(c), in nats.

    draw_apart: pairs of values [n, 2, size] that differ by at least the gap, a scalar tensor.
    """

    size: int

    @property
    def entropy(self) -> float: ...
    def draw(self, n: int, like: Tensor, generator: torch.Generator | None) -> Tensor: ...
    def draw_apart(self, n: int, like: Tensor, gap: Tensor) -> Tensor: ...
    def negative_log(self, q: Tensor, c: Tensor) -> Tensor: ...
    def shown_values(self) -> Tensor: ...


@dataclass
class Categorical:
    """One of `size` values, equally likely, as a row with a single 1; Q has a logit of each."""

    size: int

    @property
    def entropy(self) -> float:
        return math.log(self.size)

    def draw(self, n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return latents.category(n, self.size, like, generator)

    def draw_apart(self, n: int, like: Tensor, gap: Tensor) -> Tensor:
        return code_pairs.categories_apart(self.draw(n, like, None), gap)

    def negative_log(self, q: Tensor, c: Tensor) -> Tensor:
        """-log Q(c | x): [B]. q: logits [B, size].  c: [B, size]."""
        return cross_entropy(q, c.argmax(1), reduction="none")

    def shown_values(self) -> Tensor:
        """Return all values, [size, size]."""
        return torch.eye(self.size)


@dataclass
class Continuous:
    """A number of U(-1, 1), or of N(0, 1) if it is normal; Q is a Gaussian of unit variance, as in InfoGAN's code."""

    is_normal: bool
    size = 1

    @property
    def entropy(self) -> float:
        return math.log(2 * math.pi * math.e) / 2 if self.is_normal else math.log(2)

    def draw(self, n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
        sample = latents.normal if self.is_normal else latents.uniform
        return sample(n, 1, like, generator)

    def draw_apart(self, n: int, like: Tensor, gap: Tensor) -> Tensor:
        if self.is_normal:
            return code_pairs.normal_apart(latents.normal(n, 2, like), gap)[:, :, None]
        return code_pairs.uniform_apart(latents.uniform(n, 2, like), gap)[:, :, None]

    def negative_log(self, q: Tensor, c: Tensor) -> Tensor:
        """-log N(c; q, 1): [B]. q, c: [B, 1]."""
        return ((c - q).square() + math.log(2 * math.pi)).sum(1) / 2

    def shown_values(self) -> Tensor:
        """Return ten values from -2 to 2, [10, 1]: the paper shows what is beyond those of the training, too."""
        return torch.linspace(-2, 2, 10)[:, None]


class LatentCodes(dict[str, Code]):
    """{name: code}, in the order in which they lead a latent z; `size` is the length of all."""

    def __init__(self, settings: Mapping[str, int | str], z_dim: int):
        """settings: {name: number of values, "uniform" or "normal"}. Raises UserError for others, and for too many."""
        super().__init__({name: read_code(name, value) for name, value in settings.items()})
        self.size = sum(code.size for code in self.values())
        if not self or z_dim <= self.size:
            at_least = f"model.z_dim must be above {self.size}, the length of all codes, got {z_dim}"
            raise UserError(f"{at_least}." if self else "model.codes is empty. For example model.codes.c1=10")

    def draw(self, n: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Sample all codes: [n, size], with the dtype and device of `like`."""
        return torch.cat([code.draw(n, like, generator) for code in self.values()], dim=1)

    def draw_apart(self, n: int, like: Tensor, gap: Tensor) -> Tensor:
        """Sample pairs of all codes, each code's values at least the gap apart: [n, 2, size], as `like`."""
        return torch.cat([code.draw_apart(n, like, gap) for code in self.values()], dim=2)

    def split(self, z: Tensor) -> dict[str, Tensor]:
        """Return views of the columns of each code, of latents or of the parameters of Q: [n, at least `size`]."""
        sizes = [code.size for code in self.values()]
        return dict(zip(self, z[:, : self.size].split(sizes, dim=1), strict=True))

    def negative_logs(self, q: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Return -E log Q(c | x) of each code, scalars, for Q's parameters, in float32 or more, and the z of x."""
        parameters, codes = self.split(q), self.split(z)
        return {name: code.negative_log(parameters[name], codes[name]).mean() for name, code in self.items()}

    def share(self, k: Tensor, z: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
        """Return pairs of latents [n, z_dim] with the k-th code and the noise of z in common, other codes of `apart`.

        k: number of a code, int64 [n].  z: [n, z_dim].  apart: [n, 2, size].
        """

        def complete(own: Tensor) -> Tensor:
            parts = zip(self.split(z).values(), self.split(own).values(), strict=True)
            codes = [torch.where((k == i)[:, None], common, other) for i, (common, other) in enumerate(parts)]
            return torch.cat([*codes, z[:, self.size :]], dim=1)

        return complete(apart[:, 0]), complete(apart[:, 1])

    def vary(self, name: str, values: Tensor, z: Tensor) -> Tensor:
        """Return each latent of z [n, z_dim] with each of the values [m, size of the code] in turn: [n * m, z_dim]."""
        rows = z.repeat_interleave(len(values), dim=0)
        self.split(rows)[name].copy_(values.repeat(len(z), 1))
        return rows


def read_code(name: str, value: int | str) -> Code:
    """Return the code of a setting. Raises UserError for another value."""
    if isinstance(value, int) and value >= 2:
        return Categorical(value)
    if value in ("uniform", "normal"):
        return Continuous(value == "normal")
    raise UserError(
        f"model.codes.{name} must be a number of values of at least 2, uniform or normal, got {value}. "
        "For example model.codes.c1=10"
    )

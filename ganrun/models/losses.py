"""Losses as pure functions of the discriminator's raw scores (logits of any shape), and the objectives made of them.

An objective is what `loss=` chooses: `discriminator(real, fake)` returns a scalar or {"loss": scalar, other terms to
log}, and `generator(fake, real)` a scalar. There, real is None unless the objective `is_relative`: its generator's loss
needs the scores of real examples, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, relu, softplus

from ganrun.errors import UserError, did_you_mean


def at_least_float32(scores: Tensor) -> Tensor:
    """Return scores of 16 bits as float32, others as they are: a difference of means needs the precision."""
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def logistic(real: Tensor, fake: Tensor) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))) with D = sigmoid(score). Goodfellow et al. 2014, eq. 1."""
    return softplus(-at_least_float32(real)).mean() + softplus(at_least_float32(fake)).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """-E log D(G(z)), the generator's loss in practice. Goodfellow et al. 2014, end of section 3."""
    return softplus(-at_least_float32(fake)).mean()


def minimax(fake: Tensor) -> Tensor:
    """E log(1 - D(G(z))), the generator's loss in theory. Goodfellow et al. 2014, eq. 1 and Algorithm 1."""
    return -softplus(at_least_float32(fake)).mean()


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """E f(G(z)) - E f(x): minus the critic's estimate of the distance. Arjovsky et al. 2017, eq. 2."""
    return at_least_float32(fake).mean() - at_least_float32(real).mean()


def least_squares(score: Tensor, target: float) -> Tensor:
    """E (D - target)^2. Mao et al. 2017, eq. 9."""
    score = at_least_float32(score)
    return mse_loss(score, torch.full_like(score, target))


def relativistic(higher: Tensor, lower: Tensor) -> Tensor:
    """E log(1 + exp(lower - higher)) of pairs of scores. Jolicoeur-Martineau 2019, RSGAN; Huang et al. 2024, eq. 2."""
    return softplus(at_least_float32(lower) - at_least_float32(higher)).mean()


class Objective(Protocol):
    """What a GAN asks of its loss; see above."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Any: ...
    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor: ...


class Linear:
    """What objectives share whose generator raises the mean score of its examples."""

    is_relative = False

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -at_least_float32(fake).mean()


class Logistic:
    """Cross entropy, with the generator's loss of practice. Goodfellow et al. 2014, section 3."""

    is_relative = False

    @staticmethod
    def probability(score: Tensor) -> Tensor:
        """Return D(x), the probability that an example of this score is real."""
        return torch.sigmoid(at_least_float32(score))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return logistic(real, fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return non_saturating(fake)


class Minimax(Logistic):
    """The two-player game in theory. Goodfellow et al. 2014, eq. 1."""

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return minimax(fake)


class DensityRatio(Linear, Logistic):
    """Cross entropy makes the score log p/q of real to fake; G minimizes E_q log q/p. Srivastava et al. 2017."""


@dataclass
class LeastSquares:
    """Mao et al. 2017, eq. 2: E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2, and E (D(G(z)) - c)^2 / 2.

    a, b: targets of D for fake and real examples.  c: what G wants D to say.
    """

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0
    is_relative = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * (least_squares(real, self.b) + least_squares(fake, self.a))

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return 0.5 * least_squares(fake, self.c)


class Hinge(Linear):
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))), and -E D(G(z)). Lim & Ye 2017; Miyato et al. 2018, eq. 16 and 17."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - at_least_float32(real)).mean() + relu(1 + at_least_float32(fake)).mean()


@dataclass
class Margin(Linear):
    """E E(x) + E max(0, m - E(G(z))), and E E(G(z)), for scores -E that are minus energies. Zhao et al. 2017, eq. 1, 2.

    m: energy above which fakes no longer count.
    """

    m: float

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(self.m + at_least_float32(fake)).mean() - at_least_float32(real).mean()


class Wasserstein(Linear):
    """Arjovsky et al. 2017, eq. 2. The term `distance` is the critic's estimate, up to its Lipschitz constant."""

    def discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        loss = wasserstein(real, fake)
        return {"loss": loss, "distance": -loss}


class Relativistic:
    """Pairs of a real and a fake example: D tells the real one by a higher score, G seeks the opposite. Huang 2024."""

    is_relative = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relativistic(real, fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        assert real is not None
        return relativistic(fake, real)


def loss_of_fakes(model: Any, fake: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the loss of a GAN's generator for the scores of its examples; real ones are scored only where needed."""
    real = model.score(batch["x"], batch) if needs_real(model.objective) else None
    return model.objective.generator(fake, real)


def needs_real(objective: Objective) -> bool:
    """Return whether an objective's generator needs the scores of real examples."""
    return getattr(objective, "is_relative", False)


def choose_objective(loss: Objective | None, old_name: str | None) -> Objective:
    """Return the objective that is given, or that of `model.generator_loss` as version 0.1 named it, or Logistic."""
    return generator_loss(old_name) if old_name else loss or Logistic()


def generator_loss(name: str) -> Objective:
    """Return the objective with the generator's loss of that name in version 0.1. Raises UserError for other names."""
    choices = {"non_saturating": Logistic, "minimax": Minimax}
    if name not in choices:
        raise UserError(f"Unknown model.generator_loss={name}.{did_you_mean(name, choices)}")
    return choices[name]()

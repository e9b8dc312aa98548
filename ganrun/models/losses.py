"""Losses as pure functions of the discriminator's raw scores (logits of any shape)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

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


def generator_loss(name: str) -> Callable[[Tensor], Tensor]:
    """Return the loss of the original GAN's generator by name: scores of fakes -> scalar."""
    choices = {"non_saturating": non_saturating, "minimax": minimax}
    if name not in choices:
        raise UserError(f"Unknown model.generator_loss={name}.{did_you_mean(name, choices)}")
    return choices[name]


def wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    """E f(G(z)) - E f(x): minus the critic's estimate of the distance. Arjovsky et al. 2017, eq. 2."""
    return at_least_float32(fake).mean() - at_least_float32(real).mean()


def least_squares(score: Tensor, target: float) -> Tensor:
    """E (D - target)^2. Mao et al. 2017, eq. 9."""
    score = at_least_float32(score)
    return mse_loss(score, torch.full_like(score, target))

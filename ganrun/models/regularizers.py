"""Regularizers of a discriminator: penalties that join its loss, and limits on its weights.

Penalties are computed in the precision of the weights, outside autocast: they differentiate a gradient.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from ganrun.errors import UserError
from ganrun.models.losses import at_least_float32
from ganrun.models.player import Batch, Player, Terms, as_terms
from ganrun.networks.augmentation import pick_lines
from ganrun.networks.eval_mode import outside_autocast
from ganrun.networks.spectral_norm import normalize_spectrum

Score = Callable[[Tensor], Tensor]  # examples [B, ...] -> the discriminator's scores
Draw = Callable[[Callable[[int], Tensor], int], Tensor]  # (n -> random numbers [n, ...], B) -> those of B examples


class Regularizer:
    """Does nothing; subclasses override what they need.

    every: the penalty is part of every `every`-th step, times `every`, as Karras et al. 2020 (StyleGAN2) do: it costs
    less, and weighs the same on average.
    """

    every = 1

    def prepare(self, network: nn.Module) -> None:
        """Change the new discriminator, in place."""

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor | None:
        """Return what is added to the discriminator's loss, its weight included: scalar; None for nothing.

        real, fake: [B, ...], same shape, without gradient.  draw: gives random numbers of its own to each example.
        """

    def observe(self, network: nn.Module, terms: Terms) -> Terms:
        """Take note of the terms of the discriminator's loss; return terms to add to the curves."""
        return {}

    def after_step(self, network: nn.Module) -> None:
        """Change the discriminator after its step, in place."""


def slope(score: Score, x: Tensor) -> Tensor:
    """Return the gradient of each example's score with respect to the example, flat and differentiable: [B, n]."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(x).sum(), x, create_graph=True)
    return at_least_float32(gradient).flatten(1)


def distance_from_one(slopes: Tensor, one_sided: bool = False) -> Tensor:
    """Return the mean squared difference of the norms of slopes [B, n] from 1, or of those above 1 alone: scalar."""
    excess = slopes.norm(dim=1) - 1
    return (relu(excess) if one_sided else excess).square().mean()


class GradientPenalty(Regularizer):
    """weight E (|grad D(x)| - 1)^2 at one random point between each pair of a real and a fake example.

    Gulrajani et al. 2017, eq. 3 (weight 10). one_sided: slopes below 1 are free, section 4 there.
    """

    def __init__(self, weight: float, one_sided: bool = False, every: int = 1):
        self.weight, self.one_sided, self.every = weight, one_sided, every

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
        share = draw(lambda n: torch.rand(n, *[1] * (real.ndim - 1), dtype=real.dtype, device=real.device), len(real))
        return self.weight * distance_from_one(slope(score, torch.lerp(fake, real, share)), self.one_sided)


class Dragan(Regularizer):
    """weight E (|grad D(x + d)| - 1)^2 at noisy real examples, d ~ N(0, s^2). Kodali et al. 2017, section 2.3.

    deviation: s in units of the standard deviation of the batch, as in the authors' code (.5; uniform noise there).
    """

    def __init__(self, weight: float, deviation: float, every: int = 1):
        self.weight, self.deviation, self.every = weight, deviation, every

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
        noise = draw(lambda n: torch.randn(n, *real.shape[1:], dtype=real.dtype, device=real.device), len(real))
        return self.weight * distance_from_one(slope(score, real + self.deviation * real.std() * noise))


class R1(Regularizer):
    """gamma / 2 E |grad D(x)|^2 at real examples. Mescheder et al. 2018, eq. 9."""

    def __init__(self, gamma: float, every: int = 1):
        self.gamma, self.every = gamma, every

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
        return self.gamma / 2 * slope(score, real).square().sum(1).mean()


class R2(R1):
    """gamma / 2 E |grad D(x)|^2 at fake examples. Mescheder et al. 2018, eq. 10."""

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
        return super().penalty(score, fake, real, draw)


class Consistency(Regularizer):
    """weight E (D(x) - D(T(x)))^2 at real images, T: a random shift and flip. Zhang et al. 2020 (CR-GAN), eq. 3.

    shift: largest, in pixels, of rows and of columns; what is shifted in is a mirror image.
    """

    def __init__(self, weight: float, shift: int, every: int = 1):
        self.weight, self.shift, self.every = weight, shift, every

    def penalty(self, score: Score, real: Tensor, fake: Tensor, draw: Draw) -> Tensor:
        change = score(real) - score(shift_and_flip(real, self.shift, draw))
        return self.weight * at_least_float32(change).square().mean()


def shift_and_flip(images: Tensor, most: int, draw: Draw) -> Tensor:
    """Return images [B, C, H, W], each shifted by up to `most` pixels and mirrored with probability 1/2."""
    if images.ndim != 4:
        raise UserError("regularizer=consistency shifts and flips images; these examples are none. Leave it out.")
    batch, _, height, width = images.shape
    shifts = draw(lambda n: torch.randint(2 * most + 1, (n, 2), device=images.device), batch)
    flips = draw(lambda n: torch.rand(n, 1, device=images.device) < 0.5, batch)
    rows = shifts[:, :1] + torch.arange(height, device=images.device)
    columns = shifts[:, 1:] + torch.arange(width, device=images.device)
    columns = torch.where(flips, columns.flip(1), columns)
    return pick_lines(pad(images, (most, most, most, most), mode="reflect"), rows, columns)


class WeightClamp(Regularizer):
    """Weights in [-c, c]. Arjovsky et al. 2017, Algorithm 1."""

    def __init__(self, c: float):
        self.c = c

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        for w in network.parameters():
            w.clamp_(-self.c, self.c)


class SpectralNorm(Regularizer):
    """Weights divided by their largest singular value. Miyato et al. 2018, eq. 8 and Algorithm 1.

    iterations: of the power method in each forward pass.
    """

    def __init__(self, iterations: int = 1):
        self.iterations = iterations

    def prepare(self, network: nn.Module) -> None:
        normalize_spectrum(network, self.iterations)


class Regularizers:
    """Several regularizers of one discriminator, in their order.

    regularizers: {name of the term in the loss curves: Regularizer}, or the Regularizers, whose classes are the names.
    """

    def __init__(self, regularizers: Mapping[str, Regularizer] | Iterable[Regularizer], network: nn.Module):
        is_named = isinstance(regularizers, Mapping)
        named = regularizers if is_named else {type(regularizer).__name__: regularizer for regularizer in regularizers}
        self.by_name = dict(cast("Mapping[str, Regularizer]", named))
        for regularizer in self.by_name.values():
            regularizer.prepare(network)

    def due(self, model: Any) -> tuple[str, ...]:
        """Return the names of those whose penalty is part of the discriminator's next step; all, in a trial of it."""
        step, is_trial = model.steps_taken["discriminator"] + 1, model._trainer is None
        return tuple(n for n, r in self.by_name.items() if has_penalty(r) and (is_trial or step % r.every == 0))

    def penalized(self, player: Player, model: Any) -> Player:
        """Return the discriminator's player with the penalties in its loss; as it is if there are none.

        model: a GAN.  A loss that sets model.kept["fake"] has the penalties at those examples, else others are drawn.
        """
        if not any(is_part_of_loss(regularizer) for regularizer in self.by_name.values()):
            return player

        def penalized_loss(batch: Batch) -> Terms | None:
            loss, due = player.loss(batch), self.due(model)
            fake = model.kept.pop("fake", None)
            if loss is None:
                return None
            fake = model.fake_like(batch) if due and fake is None else fake
            penalties = self.penalties(due, lambda x: model.score(x, batch), batch["x"], fake, model.draw)
            terms = as_terms(loss)
            noted: dict[str, Tensor] = {}
            for regularizer in self.by_name.values():
                noted |= regularizer.observe(model.discriminator, terms)
            return {**terms, "loss": sum(penalties.values(), terms["loss"]), **penalties, **noted}

        return replace(player, loss=penalized_loss, form=lambda: self.due(model))

    def penalties(self, due: Iterable[str], score: Score, real: Tensor, fake: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Return the penalties of these names, times `every`. fake: of any precision, with or without gradient."""
        with outside_autocast(real):
            found = {name: self.by_name[name].penalty(score, real, fake.detach().to(real), draw) for name in due}
        return {name: self.by_name[name].every * value for name, value in found.items() if value is not None}

    def after_turn(self, player: Player, model: Any) -> None:
        for regularizer in self.by_name.values() if player.name == "discriminator" else ():
            regularizer.after_step(model.discriminator)


def is_part_of_loss(regularizer: Regularizer) -> bool:
    return has_penalty(regularizer) or type(regularizer).observe is not Regularizer.observe


def has_penalty(regularizer: Regularizer) -> bool:
    return type(regularizer).penalty is not Regularizer.penalty

"""Latents of given images, found by optimization, for models without an encoder."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from ganrun.data.keys import keys_taken
from ganrun.terminal import progress_bar
from ganrun.training.inference import TrainedModel

CANDIDATES, STARTS = 500, 4  # latents drawn, and those of them from which the search of an image begins
AT_ONCE = 8  # images whose latents are searched for at once
RATE = 0.1  # of Adam, at first
Features = Callable[[Tensor], Tensor]


def invert(
    trained: TrainedModel,
    x: Tensor,
    updates: int,
    conditions: dict[str, Tensor],
    features: Features | None = None,
    weight: float = 0,
    seed: int = 0,
) -> Tensor:
    """Return latents [n, z_dim] whose examples are close to x [n, C, H, W] in [-1, 1]. Creswell & Bharath 2018, alg. 1.

    The search begins at those of CANDIDATES drawn latents whose examples are closest, and keeps the best of all starts:
    mean squared difference of the pixels, and `weight` times that of features relative to the squares of those of x.
    conditions: [1, ...] each, the same for all x.
    """
    model: Any = trained.model
    candidates = trained.latents(CANDIDATES, seed)
    drawn: dict[str, Any] = {key: value.expand(CANDIDATES, *value.shape[1:]) for key, value in conditions.items()}
    examples = trained.sample(CANDIDATES, z=candidates, **drawn)
    parts = []
    for part in progress_bar(x.split(AT_ONCE), "searching for latents"):
        nearest = torch.cdist(part.flatten(1), examples.flatten(1)).topk(STARTS, largest=False).indices
        own = [conditions[key].to(model.device) for key in keys_taken(model)]
        parts.append(search(model, candidates[nearest], part.to(model.some_weight), own, updates, features, weight))
    return torch.cat(parts).float().cpu()


def search(
    model: Any,
    starts: Tensor,
    target: Tensor,
    conditions: Sequence[Tensor],
    updates: int,
    features: Features | None,
    weight: float,
) -> Tensor:
    """Return the latents [n, z_dim] that come closest to the target [n, C, H, W] on the way from any of their starts.

    starts: [n, count, z_dim].  conditions: [1, ...] each, in the order in which the decoder takes them.
    """
    decoder, count = model.net(model.decoder_name), starts.shape[1]
    z = starts.flatten(0, 1).to(target).requires_grad_()
    target = target.repeat_interleave(count, dim=0)
    own = [condition.expand(len(z), *condition.shape[1:]) for condition in conditions]
    wanted = features(target).detach() if features else None
    optimizer = Adam([z], lr=RATE)
    schedule = CosineAnnealingLR(optimizer, max(updates, 1))
    best, found = torch.full((len(z),), torch.inf, device=z.device), z.detach().clone()

    def distances() -> Tensor:
        """[n * count]"""
        x = decoder(z, *own)
        pixels = (x - target).float().square().flatten(1).mean(1)
        if features is None or wanted is None:
            return pixels
        relative = (features(x) - wanted).square().sum(1) / wanted.square().sum(1).clamp(min=1e-6)
        return pixels + weight * relative

    for update in range(updates + 1):
        now = distances()
        is_closer = now.detach() < best
        best, found = torch.where(is_closer, now.detach(), best), torch.where(is_closer[:, None], z.detach(), found)
        if update < updates:
            (z.grad,) = torch.autograd.grad(now.sum(), z)
            optimizer.step()
            schedule.step()
    chosen = best.unflatten(0, (-1, count)).argmin(dim=1)
    return found.unflatten(0, (-1, count))[torch.arange(len(chosen)), chosen]

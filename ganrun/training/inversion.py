"""Latents of given images, found by optimization, for models without an encoder."""

from collections.abc import Callable
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
    conditions: of each x.
    """
    model = trained.model
    candidates = trained.latents(CANDIDATES, seed)
    parts = []
    for index in progress_bar(torch.arange(len(x)).split(AT_ONCE), "searching for latents"):
        target = x[index].to(model.some_weight)
        own = {key: value[index].to(model.device) for key, value in conditions.items()}
        starts = nearest_starts(trained, candidates, target, own)
        parts.append(search(trained, starts, target, own, updates, features, weight).float().cpu())
    return torch.cat(parts)


def nearest_starts(trained: TrainedModel, candidates: Tensor, target: Tensor, own: dict[str, Tensor]) -> Tensor:
    """Return for each image the STARTS candidates whose examples are closest in pixels: [n, STARTS, z_dim]."""
    flat, count = target.flatten(1).float(), len(candidates)
    if not own:  # the same examples for all images
        x = trained.sample(count, z=candidates).flatten(1).to(flat)
        return candidates[torch.cdist(flat, x).topk(STARTS, largest=False).indices.cpu()]
    starts = []
    for i, row in enumerate(flat):
        repeated: dict[str, Any] = {key: value[i].cpu().expand(count, *value.shape[1:]) for key, value in own.items()}
        x = trained.sample(count, z=candidates, **repeated).flatten(1).to(row)
        starts.append(candidates[torch.cdist(row[None], x)[0].topk(STARTS, largest=False).indices.cpu()])
    return torch.stack(starts)


def search(
    trained: TrainedModel,
    starts: Tensor,
    target: Tensor,
    own: dict[str, Tensor],
    updates: int,
    features: Features | None,
    weight: float,
) -> Tensor:
    """Return the latents [n, z_dim] that come closest to the target [n, C, H, W] from any of their starts."""
    model: Any = trained.model
    decoder, count = model.net(model.decoder_name), starts.shape[1]
    z = starts.flatten(0, 1).to(target).requires_grad_()
    target = target.repeat_interleave(count, dim=0)
    repeated = [own[key].repeat_interleave(count, dim=0) for key in keys_taken(model)]
    wanted = features(target).detach() if features else None
    optimizer = Adam([z], lr=RATE)
    schedule = CosineAnnealingLR(optimizer, max(updates, 1))

    def distances() -> Tensor:
        """[n * STARTS]"""
        x = decoder(z, *repeated)
        pixels = (x - target).float().square().flatten(1).mean(1)
        if features is None or wanted is None:
            return pixels
        relative = (features(x) - wanted).square().sum(1) / wanted.square().sum(1).clamp(min=1e-6)
        return pixels + weight * relative

    for _ in range(updates):
        optimizer.zero_grad()
        (z.grad,) = torch.autograd.grad(distances().sum(), z)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        best = distances().unflatten(0, (-1, count)).argmin(dim=1)
    return z.detach().unflatten(0, (-1, count))[torch.arange(len(best)), best.cpu()]

"""What lies between and beside the samples of a model that has just been trained."""

from typing import Any

import torch
from torch import Tensor

from ganrun import seeds
from ganrun.data.keys import keys_taken
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.networks.codes import LatentCodes
from ganrun.networks.latent_paths import along_noise, conditions_along, walk
from ganrun.networks.sefa import principal_directions

LEGS, STEPS = 4, 10  # rows and columns of the path
DIRECTIONS, STARTS, REACH = 3, 2, 3.0  # directions, samples that each changes, and how far it goes both ways
DRAWN = 64  # latents that show whether the noise is Gaussian


def latent_pictures(model: Any, data) -> dict[str, tuple[Tensor, int]]:
    """Return paths from each sample to the next, and samples along the directions that change most, as `pictures` does.

    {"path": (examples [LEGS * STEPS, ...], columns), "directions": ...}: the first is a row for each leg, the second
    has a row for each direction and sample. Nothing for a model whose samples are not made of latents, and for points;
    no directions for one whose codes have pictures of their own, or whose first layer is not linear in z.
    """
    if data.kind != "picture" or not (has_ability(model, "decode") and has_ability(model, "noise")):
        return {}
    z = model.noise(LEGS + 1, seeds.generator(0))
    keys = keys_taken(model)
    given = data.conditions(LEGS + 1, keys) if keys else {}
    conditions = {key: given[key].to(z.device) for key in keys}
    way, share = along_noise(model.noise(DRAWN, seeds.generator(1))), torch.linspace(0, 1, STEPS).to(z)[:, None]
    takes_weights = getattr(model.net(model.decoder_name), "takes_class_weights", False)
    between = conditions_along(conditions, share, model.classes if takes_weights else None)
    found = {"path": (model.decode(walk(z, share, way), *between.values()), STEPS)}
    if not isinstance(getattr(model, "codes", None), LatentCodes):
        first = [condition[:1] for condition in conditions.values()]
        try:
            directions = principal_directions(model.net(model.decoder_name), z.shape[1], *first)
        except UserError:
            return found
        found["directions"] = (draw_directions(model, z, [*conditions.values()], directions[:DIRECTIONS]), STEPS)
    return found


def draw_directions(model: Any, z: Tensor, conditions: list[Tensor], directions: Tensor) -> Tensor:
    """Return the first samples moved along each direction [k, z_dim], by -REACH to REACH."""
    steps = torch.linspace(-REACH, REACH, STEPS).to(z)
    moved = z[:STARTS, None] + steps[:, None] * directions[:, None, None]  # [k, STARTS, STEPS, z_dim]
    own = [
        its[:STARTS].repeat_interleave(STEPS, dim=0).repeat(len(directions), *[1] * (its.ndim - 1))
        for its in conditions
    ]
    return model.decode(moved.flatten(0, 2), *own)

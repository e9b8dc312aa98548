"""Examples that differ in one code, in one number of their latents, or along one direction."""

import re
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View, check_frames, there_and_back
from ganrun.data.keys import keys_taken
from ganrun.errors import UserError, did_you_mean
from ganrun.networks.codes import LatentCodes
from ganrun.networks.sefa import principal_directions
from ganrun.training.inference import TrainedModel

Change = Callable[[Tensor, Tensor], Tensor]  # of latents [n, z_dim] and one value, [size of the code]
NUMBERED = re.compile(r"(z|sefa)(\d{1,9})")


def show_code(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the first samples, a row each, with the values of a code in turn; as an animation, all rows at once."""
    if not isinstance(cfg.code, str):
        raise UserError(f"code={dict(cfg.code)} must be the name of one code, such as code=c1; range= has its values.")
    samples = Numbered.read(cfg, trained, f"code={cfg.code}")
    low, high = cfg.range
    values = torch.linspace(low, high, cfg.steps)[:, None]
    z, conditions = samples.z[: cfg.rows], {key: value[: cfg.rows] for key, value in samples.conditions.items()}
    codes = getattr(trained.model, "codes", {})
    if isinstance(codes, LatentCodes) and cfg.code in codes:
        values = codes[cfg.code].shown_values() if codes[cfg.code].size > 1 else values
        change, what = code_change(codes, cfg.code), f"code {cfg.code}"
    else:
        change, what = numbered_change(cfg.code, samples, codes)
    check_frames(cfg, f"code={cfg.code}", len(values))
    latents = [change(z, value) for value in values]
    columns, draw = [trained.decode(column, conditions) for column in latents], trained.data.draw
    span = f"its {len(values)} values" if values.shape[1] > 1 else f"{low:g} to {high:g}"
    caption, name = f"{samples.place.capitalize()} 0 to {len(z) - 1}, {what}: {span}", f"code-{cfg.code}"
    if cfg["as"] == "gif":
        return [View(name, caption, there_and_back([draw(column, 8) for column in columns]), seconds=0.15)]
    x, z = (torch.stack(part, 1).flatten(0, 1) for part in (columns, latents))
    own = {key: value.repeat_interleave(len(values), dim=0) for key, value in conditions.items()}
    return [View(name, caption, [draw(x, len(values))], examples={"x": x, "z": z, **own})]


def code_change(codes: LatentCodes, name: str) -> Change:
    return lambda z, value: codes.vary(name, value[None], z)


def numbered_change(name: str, samples: Numbered, codes: LatentCodes | dict) -> tuple[Change, str]:
    """Return what sets the number of z, or moves along the direction, that a name such as z3 or sefa0 stands for."""
    match, z_dim = NUMBERED.fullmatch(name), samples.z.shape[1]
    directions = own_directions(samples) if match and match[1] == "sefa" else torch.eye(z_dim)
    if match is None or int(match[2]) >= len(directions):
        own = ", ".join([*codes, f"z0 to z{z_dim - 1}", "sefa0, sefa1, ... (directions that change most)"])
        raise UserError(
            f"code={name}: there is no such code. This model has {own}.{did_you_mean(name, codes) if codes else ''}"
        )
    direction = directions[int(match[2])]
    if match[1] == "z":
        return lambda z, value: z + direction * (value - z), f"number {match[2]} of z"
    return lambda z, value: z + direction * value, f"direction {match[2]} of SeFa"


def own_directions(samples: Numbered) -> Tensor:
    """Return the principal directions of a model's generator: [k, z_dim]."""
    model: Any = samples.trained.model
    conditions = samples.conditions
    network = model.net(model.decoder_name)
    taken = [conditions[key][:1].to(model.device) for key in keys_taken(model)]
    return principal_directions(network, samples.z.shape[1], *taken).float().cpu()

"""Paths from one sample to the next."""

from itertools import pairwise

import torch
from omegaconf import DictConfig

from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View, there_and_back
from ganrun.config.value_types import format_setting_value
from ganrun.errors import UserError
from ganrun.networks.latent_paths import along_sphere, straight
from ganrun.training.inference import TrainedModel

WAYS = {"sphere": along_sphere, "line": straight}  # auto follows the noise


def show_path(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the ways between the samples that path= names: one row each, or one after the other as an animation."""
    setting = f"path={format_setting_value(cfg.path)}"
    samples = Numbered.read(cfg, trained, setting)
    if len(cfg.path) < 2:
        raise UserError(f"{setting} must name at least two samples, such as path=[3,17].")
    stops = [samples.pick(which, setting) for which in cfg.path]
    way, share = WAYS.get(cfg.way) or samples.way(), torch.linspace(0, 1, cfg.steps)[:, None]
    between = [
        (way(a.expand(cfg.steps, -1), b.expand(cfg.steps, -1), share), its) for (a, its), (b, _) in pairwise(stops)
    ]
    legs, draw = [samples.decode(z, its) for z, its in between], trained.data.draw
    ways = {"sphere": "along the sphere", "line": "along lines", "auto": "as the noise suggests"}
    caption = f"From sample {' to '.join(map(str, cfg.path))}, {ways[cfg.way]}"
    if cfg["as"] == "gif":
        images = torch.cat([leg[i > 0 :] for i, leg in enumerate(legs)])  # a leg begins where the one before it ends
        return [View("path", caption, there_and_back([draw(image[None], 1) for image in images]))]
    x, z = torch.cat(legs), torch.cat([z for z, _ in between])
    return [View("path", caption, [draw(x, cfg.steps)], examples=(x, z))]

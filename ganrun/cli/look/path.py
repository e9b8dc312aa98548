"""Paths from one sample to the next."""

from itertools import pairwise

import torch
from omegaconf import DictConfig

from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View, check_frames, there_and_back
from ganrun.config.value_types import format_setting_value
from ganrun.errors import UserError
from ganrun.networks.latent_paths import along_sphere, straight
from ganrun.training.inference import TrainedModel

WAYS = {"sphere": (along_sphere, "along the sphere"), "line": (straight, "along lines")}  # auto follows the noise


def show_path(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the ways between the samples that path= names: one row each, or one after the other as an animation."""
    setting = f"path={format_setting_value(cfg.path)}"
    samples = Numbered.read(cfg, trained, setting)
    if len(cfg.path) < 2:
        raise UserError(f"{setting} must name at least two samples, such as path=[3,17].")
    stops = [samples.pick(which, setting) for which in cfg.path]
    (way, words), share = WAYS.get(cfg.way) or samples.way(), torch.linspace(0, 1, cfg.steps)[:, None]
    check_frames(cfg, setting, (cfg.steps - 1) * (len(stops) - 1) + 1)
    between = [
        (way(a.expand(cfg.steps, -1), b.expand(cfg.steps, -1), share), its) for (a, its), (b, _) in pairwise(stops)
    ]
    legs, draw = [samples.decode(z, its) for z, its in between], trained.data.draw
    caption = f"{samples.place.capitalize()} {' to '.join(map(str, cfg.path))}, {words}"
    if cfg["as"] == "gif":
        images = torch.cat([leg[i > 0 :] for i, leg in enumerate(legs)])  # a leg begins where the one before it ends
        return [View("path", caption, there_and_back([draw(image[None], 1) for image in images]))]
    z, leg = torch.cat([z for z, _ in between]), torch.arange(len(legs)).repeat_interleave(cfg.steps)
    conditions = {key: torch.cat([its[key] for _, its in between])[leg] for key in stops[0][1]}
    examples = {"x": torch.cat(legs), "z": z, **conditions}
    return [View("path", caption, [draw(examples["x"], cfg.steps)], examples=examples)]

"""Paths from one sample to the next."""

from typing import Any

import torch
from omegaconf import DictConfig

from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View, check_frames, there_and_back
from ganrun.config.value_types import format_setting_value
from ganrun.errors import UserError
from ganrun.networks.latent_paths import along_sphere, conditions_along, straight, walk
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
    z = walk(torch.cat([stop.z for stop in stops]), share, way)
    given = {key: torch.cat([stop.conditions[key] for stop in stops]) for key in stops[0].conditions}
    count: Any = getattr(trained.model, "classes", None)
    conditions = conditions_along(given, share, count if trained.takes_class_weights else None)
    has_weights = "y" in conditions and conditions["y"].ndim == 2
    if "class:" in setting and not trained.takes_class_weights:
        raise UserError(f"{setting}: this generator takes whole classes only, so that there is nothing between them.")
    x, draw = trained.decode(z, conditions), trained.data.draw
    caption = f"{samples.place.capitalize()} {' to '.join(map(str, cfg.path))}, {words}"
    caption += ", from class to class" * has_weights
    if cfg["as"] == "gif":
        legs = x.split(cfg.steps)  # each begins where the one before it ends
        images = torch.cat([leg[i > 0 :] for i, leg in enumerate(legs)])
        return [View("path", caption, there_and_back([draw(image[None], 1) for image in images]))]
    examples = {"x": x, "z": z, **conditions}
    return [View("path", caption, [draw(examples["x"], cfg.steps)], examples=examples)]

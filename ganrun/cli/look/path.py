"""Paths from one sample to the next."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganrun.cli.look.numbered import Numbered, PickedSample
from ganrun.cli.look.view import View, check_frames, there_and_back
from ganrun.config.value_types import format_setting_value
from ganrun.errors import UserError
from ganrun.networks.conditional import one_hot
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
    z = [way(a.z.expand(cfg.steps, -1), b.z.expand(cfg.steps, -1), share) for a, b in pairwise(stops)]
    conditions = conditions_between(stops, trained, share, setting)
    legs = [trained.decode(*leg) for leg in zip(z, conditions, strict=True)]
    draw, change = trained.data.draw, ", from class to class" * ("y" in conditions[0] and conditions[0]["y"].ndim == 2)
    caption = f"{samples.place.capitalize()} {' to '.join(map(str, cfg.path))}, {words}{change}"
    if cfg["as"] == "gif":
        images = torch.cat([leg[i > 0 :] for i, leg in enumerate(legs)])  # a leg begins where the one before it ends
        return [View("path", caption, there_and_back([draw(image[None], 1) for image in images]))]
    joined = {key: torch.cat([leg[key] for leg in conditions]) for key in conditions[0]}
    examples = {"x": torch.cat(legs), "z": torch.cat(z), **joined}
    return [View("path", caption, [draw(examples["x"], cfg.steps)], examples=examples)]


def conditions_between(
    stops: Sequence[PickedSample], trained: TrainedModel, share: Tensor, setting: str
) -> list[dict[str, Tensor]]:
    """Return what the examples of each leg are made of besides z, {key: [steps, ...]}: what the leg starts with.

    Classes that differ become weights of the classes, y float [steps, classes], which go straight from one to the
    other, where the generator takes such weights.
    """
    steps, legs = len(share), [*pairwise(stop.conditions for stop in stops)]
    between = [{key: value.expand(steps, *value.shape[1:]) for key, value in start.items()} for start, _ in legs]
    if "y" not in stops[0].conditions or all(
        (stop.conditions["y"] == stops[0].conditions["y"]).all() for stop in stops
    ):
        return between
    if trained.takes_class_weights:
        model: Any = trained.model
        ends = [[one_hot(end["y"], model.classes, share) for end in leg] for leg in legs]
        return [{**its, "y": straight(a, b, share)} for its, (a, b) in zip(between, ends, strict=True)]
    if "class:" in setting:
        raise UserError(f"{setting}: this generator takes whole classes only, so that there is nothing between them.")
    return between

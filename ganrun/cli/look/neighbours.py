"""The training images that are nearest to samples: by pixels, by an extractor's features and by the encoder's codes."""

from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganrun.cli.look.extractor import extractor_of
from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View
from ganrun.data.images import to_float, to_uint8
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.metrics.scores.copies import MAX_TRAINING_IMAGES
from ganrun.metrics.scores.nearest import nearest_neighbours, plot_neighbours
from ganrun.seeds import named_generator
from ganrun.training.inference import TrainedModel

BATCH = 250
Embed = Callable[[Tensor], Tensor]  # of uint8 images [n, C, H, W] to numbers [n, d]


def show_neighbours(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return rows of a sample and its nearest training images, a picture for each way to compare them."""
    setting, data = f"neighbours={cfg.neighbours}", trained.data
    if data.kind != "picture":
        raise UserError(f"{setting} needs a model of images, and {data.name} has {data.kind}.")
    samples = Numbered.read(cfg, trained, setting)
    own = {key: value[: cfg.rows] for key, value in samples.conditions.items()}
    x = to_uint8(trained.decode(samples.z[: cfg.rows], own))
    train = data.contents.splits["train"][next(iter(data.keys))]
    few = train[torch.randperm(len(train), generator=named_generator("copies"))[:MAX_TRAINING_IMAGES].sort().values]
    views = []
    for space, (embed, among) in spaces(trained, train, few).items():
        rows = embed(x).to(trained.model.device)  # on which distances are computed
        index = nearest_neighbours(rows, embed(among), cfg.neighbours)[1].cpu()
        shown = f"{samples.place.capitalize()} 0 to {len(x) - 1}"
        caption = f"{shown}, each beside its nearest of {len(among):,} training images by {space}"
        picture = plot_neighbours(x, among, index, len(x))
        views.append(View(f"neighbours-{space}", caption, [picture]))
    return views


def spaces(trained: TrainedModel, train: Tensor, few: Tensor) -> dict[str, tuple[Embed, Tensor]]:
    """Return the ways to compare images that a model has, and the training images that each can compare with."""
    model: Any = trained.model
    extractor = extractor_of(trained)
    found: dict[str, tuple[Embed, Tensor]] = {"pixels": (lambda images: images, train)}
    if extractor is not None:
        found["features"] = (embed_parts(lambda images: extractor(images.to(model.device))[0]), few)
    if has_ability(model, "encode"):
        found["codes"] = (embed_parts(lambda images: model.encode(to_float(images).to(model.some_weight))), few)
    return found


def embed_parts(embed: Embed) -> Embed:
    return lambda images: torch.cat([embed(part).float().cpu() for part in images.split(BATCH)])

"""Reconstructions of given images, by the encoder of a model, or by a search for latents."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ganrun.cli.given import refuse_given
from ganrun.cli.input_images import input_images, load_image
from ganrun.cli.look.extractor import extractor_of
from ganrun.cli.look.numbered import Numbered
from ganrun.cli.look.view import View
from ganrun.data.images import to_float, to_uint8
from ganrun.errors import UserError, shorten
from ganrun.metrics.base import has_ability
from ganrun.metrics.scores.nearest import nearest_neighbours
from ganrun.terminal import progress_bar
from ganrun.training.inference import TrainedModel
from ganrun.training.inversion import invert

MOST, COLUMNS = 200, 8  # images, of which all are written; columns of the grid
OF_SEARCH = ("updates", "feature_weight")  # settings
COMPARED = 200  # test images whose distances to the training images tell what is usual


def show_input(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the images of input=, each above its reconstruction, with their mean absolute difference."""
    setting = f"input={shorten(str(cfg.input))}"
    if trained.data.kind != "picture":
        raise UserError(f"{setting} needs a model of images, and {trained.data.name} has {trained.data.kind}.")
    if finds_by_encoder(cfg, trained):
        refuse_given(OF_SEARCH, "the model has an encoder, and invert=on searches nevertheless")
    paths = input_images(cfg.input).paths
    if len(paths) > MOST:
        raise UserError(f"{setting} has {len(paths)} images, and at most {MOST} are reconstructed at once.")
    x = to_float(torch.stack([load_image(trained, False, path) for path in progress_bar(paths, "reading images")]))
    found, how = reconstruct(cfg, trained, x, setting)
    view = pairs_view("reconstructions", f"{len(x)} images, each above its reconstruction {how}", trained, x, found)
    view.notes += warn_of_foreign(trained, x, paths)
    return [view]


def finds_by_encoder(cfg: DictConfig, trained: TrainedModel) -> bool:
    return has_ability(trained.model, "reconstruct") and cfg.invert != "on"


def reconstruct(cfg: DictConfig, trained: TrainedModel, x: Tensor, setting: str) -> tuple[Tensor, str]:
    """Return the reconstructions of x [n, C, H, W], and how they were found. invert=on searches in any case."""
    model: Any = trained.model
    if finds_by_encoder(cfg, trained):
        parts = [model.reconstruct(part.to(model.some_weight)).float().cpu() for part in x.split(250)]
        return torch.cat(parts), "by the encoder"
    if cfg.invert == "off":
        raise UserError(f"{setting} invert=off needs a model with an encoder. {trained.choices['model']} has none.")
    samples = Numbered.read(cfg, trained, setting)
    has_class = isinstance(cfg.classes, int | str) or (cfg.classes is not None and len(cfg.classes) == 1)
    if samples.conditions and not ([*samples.conditions] == ["y"] and has_class):
        raise UserError(f"{setting} needs to know the class that all the images show, one for all of them: classes=3")
    features = None
    if cfg.feature_weight:
        extractor = extractor_of(trained)
        if extractor is None:
            raise UserError(f"feature_weight={cfg.feature_weight:g} needs an extractor, and the run has none.")
        extractor.load()
        extractor.check_smooth()
        features = extractor.embed
    conditions = {key: value[:1] for key, value in samples.conditions.items()}
    z = invert(trained, x, cfg.updates, conditions, features, cfg.feature_weight, cfg.seed)
    return samples.decode(z, conditions), f"by a search of {cfg.updates} updates"


def pairs_view(name: str, caption: str, trained: TrainedModel, x: Tensor, found: Tensor) -> View:
    """Return rows of images, each above the row of what belongs to them, and their distances."""
    differences = (x - found).abs().flatten(1).mean(1)
    rows = []
    for index in torch.arange(len(x)).split(COLUMNS):
        blank = x.new_zeros(COLUMNS - len(index), *x.shape[1:])
        rows += [torch.cat([part[index], blank]) for part in (x, found)]
    note = f"mean absolute difference {differences.mean():.3f}, {differences.min():.3f} to {differences.max():.3f}"
    return View(name, caption, [trained.data.draw(torch.cat(rows), COLUMNS)], notes=[f"{note} (pixels from -1 to 1)"])


def warn_of_foreign(trained: TrainedModel, x: Tensor, paths: list[Path]) -> list[str]:
    """Return a warning of images that are further from all training images than any of the first test images are."""
    data = trained.data
    train = data.contents.splits["train"].get("x")
    if train is None or data.test_split != "test":
        return []
    device = trained.model.device
    usual = nearest_neighbours(to_uint8(data.test("x", COMPARED).float()).to(device), train, 1)[0].max()
    is_foreign = nearest_neighbours(to_uint8(x).to(device), train, 1)[0][:, 0] > usual
    names = [path.name for path, foreign in zip(paths, is_foreign.tolist(), strict=True) if foreign]
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"unlike the training data, by pixels: {shown} (further from it than {COMPARED} test images)"]


def show_test_images(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the first test images, each above its reconstruction by the encoder."""
    x = trained.data.test("x", 4 * COLUMNS).float()
    found, how = reconstruct(cfg, trained, x, "look")
    return [
        pairs_view("reconstructions", f"{len(x)} test images, each above its reconstruction {how}", trained, x, found)
    ]

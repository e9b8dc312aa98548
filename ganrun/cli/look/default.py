"""What is shown of a model if nothing is asked for."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from ganrun.cli.look.numbered import Numbered, is_autoencoder
from ganrun.cli.look.reconstruction import show_test_images
from ganrun.cli.look.view import View
from ganrun.errors import UserError
from ganrun.metrics.base import has_ability
from ganrun.networks.codes import LatentCodes
from ganrun.training.inference import TrainedModel
from ganrun.training.latents import check_takes_latents

DIRECTIONS, COLUMNS = 3, 8  # of SeFa; of the grid of samples
Form = Callable[[DictConfig, TrainedModel], list[View]]


class Choice(NamedTuple):
    """A form, the setting that asks for it and its value. is_sure: it fails for wrong settings of the user's only."""

    form: Form
    setting: str
    value: object
    is_sure: bool = True


def default_views(cfg: DictConfig, trained: TrainedModel, forms: Mapping[str, Form]) -> tuple[list[View], list[str]]:
    """Return all views that suit the model, and why others are missing. Raises UserError if none is left."""
    views, left_out = [], []
    for choice in suitable(trained, forms):
        try:
            views += choice.form(OmegaConf.create({**cfg, choice.setting: choice.value}), trained)
        except UserError as error:
            if choice.is_sure:
                raise
            left_out.append(str(error))
    if not views:
        check_takes_latents(trained, "look")
        raise UserError(f"There is nothing to look at. {' '.join(dict.fromkeys(left_out))}")
    return views, [*dict.fromkeys(left_out)]


def suitable(trained: TrainedModel, forms: Mapping[str, Form]) -> list[Choice]:
    """Return what suits a model."""
    film = Choice(forms["film"], "film", True, is_sure=False)
    try:
        if not is_autoencoder(trained):
            check_takes_latents(trained, "look")
    except UserError:
        return [film]
    path = Choice(forms["path"], "path", [0, 1, 2, 3, 4])
    if trained.data.kind != "picture":
        return [film, path]
    codes = getattr(trained.model, "codes", None)
    if isinstance(codes, LatentCodes):
        changes = [Choice(forms["code"], "code", name) for name in codes]
    else:
        changes = [Choice(forms["code"], "code", f"sefa{i}", is_sure=False) for i in range(DIRECTIONS)]
    tests = [Choice(show_test_images, "input", None, is_sure=False)] * has_ability(trained.model, "reconstruct")
    neighbours = Choice(forms["neighbours"], "neighbours", 5, is_sure=False)
    return [Choice(show_samples, "path", None), film, path, *tests, *changes, neighbours]


def show_samples(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the grid in which one reads the numbers of the samples."""
    samples = Numbered.read(cfg, trained, "look")
    x, last = trained.decode(samples.z, samples.conditions), len(samples.z) - 1
    caption = f"{samples.place} 0 to {last}, {COLUMNS} in a row: the numbers that path= and mean= take"
    return [View("samples", caption, [trained.data.draw(x, COLUMNS)])]

"""What is shown of a model if nothing is asked for."""

from collections.abc import Callable, Mapping

from omegaconf import DictConfig, OmegaConf

from ganrun.cli.look.numbered import Numbered, is_autoencoder
from ganrun.cli.look.reconstruction import show_test_images
from ganrun.cli.look.view import View
from ganrun.errors import UserError
from ganrun.networks.codes import LatentCodes
from ganrun.training.inference import TrainedModel
from ganrun.training.latents import check_takes_latents

DIRECTIONS, COLUMNS = 3, 8  # of SeFa; of the grid of samples
Form = Callable[[DictConfig, TrainedModel], list[View]]


def default_views(cfg: DictConfig, trained: TrainedModel, forms: Mapping[str, Form]) -> tuple[list[View], list[str]]:
    """Return all views that suit the model, and why others are missing. Raises UserError if none is left."""
    forms, views, left_out = {**forms, "samples": show_samples, "test": show_test_images}, [], []
    for form, value in suitable(trained):
        try:
            views += forms[form](with_value(cfg, form, value), trained)
        except UserError as error:
            left_out.append(str(error))
    if not views:
        raise UserError(f"There is nothing to look at. {' '.join(left_out)}")
    return views, left_out


def suitable(trained: TrainedModel) -> list[tuple[str, object]]:
    """Return the forms that suit a model, with their values."""
    found: list[tuple[str, object]] = [("film", True)]
    try:
        if not is_autoencoder(trained):
            check_takes_latents(trained, "look")
    except UserError:
        return found
    is_picture, codes = trained.data.kind == "picture", getattr(trained.model, "codes", None)
    found += [("path", [0, 1, 2, 3, 4])]
    if is_picture:
        found.insert(0, ("samples", True))
        names = [*codes] if isinstance(codes, LatentCodes) else [f"sefa{number}" for number in range(DIRECTIONS)]
        found += [("test", True)] if hasattr(trained.model, "reconstruct") else []
        found += [*(("code", name) for name in names), ("neighbours", 5)]
    return found


def with_value(cfg: DictConfig, form: str, value: object) -> DictConfig:
    """Return the settings with another one, which may be one that the command does not have."""
    return OmegaConf.create({**cfg, form: value})


def show_samples(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return the grid in which one reads the numbers of the samples."""
    samples = Numbered.read(cfg, trained, "look")
    x, last = samples.decode_each(samples.z, samples.conditions), len(samples.z) - 1
    caption = f"{samples.place} 0 to {last}, {COLUMNS} in a row: the numbers that path= and mean= take"
    return [View("samples", caption, [trained.data.draw(x, COLUMNS)])]

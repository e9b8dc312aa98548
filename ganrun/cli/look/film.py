"""The grids that a training wrote, as an animation."""

import re
from collections import defaultdict
from pathlib import Path

import torch
from omegaconf import DictConfig

from ganrun.cli.look.view import View
from ganrun.data.decode import BadImageError, decode
from ganrun.errors import UserError
from ganrun.training.inference import TrainedModel

GRID = re.compile(r"(.+)-kimg(\d+\.\d+)\.png")
MOST = 100  # frames, evenly chosen if there are more
SECONDS, LAST = 0.25, 8  # of a frame; how often the last one is repeated


def show_film(cfg: DictConfig, trained: TrainedModel) -> list[View]:
    """Return an animation of each kind of grid in the run folder. Raises UserError if no kind has two of them."""
    found = grids_of_run(trained.run_dir)
    if not found:
        raise UserError(
            f"{trained.run_dir / 'samples'} has no two grids of a kind to animate. pictures_kimg= of the training says "
            "how often it writes them."
        )
    return [film(name, paths) for name, paths in found.items()]


def film(name: str, paths: dict[float, Path]) -> View:
    """Return the grids of one kind as an animation, at most MOST of them, which stops for a while at the last one."""
    chosen = torch.linspace(0, len(paths) - 1, min(MOST, len(paths))).round().long().tolist()
    times = [[*paths][i] for i in chosen]
    try:
        pictures = [torch.tensor(decode(paths[time], None, 3)) for time in times]
    except BadImageError as error:
        raise UserError(f"{error}. Remove the file, and the film is made of the others.") from error
    frames = [picture for picture in pictures if picture.shape == pictures[-1].shape]
    caption = f"{name}: {len(frames)} grids, {times[0]:g} to {times[-1]:g} kimg"
    return View(f"film-{name}", caption, [*frames, *frames[-1:] * (LAST - 1)], SECONDS)


def grids_of_run(folder: Path) -> dict[str, dict[float, Path]]:
    """Return the grids of each kind that has two or more, {kind: {kimg: path}}, in the order of the training."""
    found: dict[str, dict[float, Path]] = defaultdict(dict)
    for path in sorted((folder / "samples").glob("*-kimg*.png")):
        if (match := GRID.fullmatch(path.name)) and not path.is_symlink():
            found[match[1]][float(match[2])] = path
    kinds = sorted(found, key=lambda name: (name != "samples", name))
    return {name: dict(sorted(found[name].items())) for name in kinds if len(found[name]) > 1}

"""ganrun translate: takes a user's pictures to the other domain."""

from collections import Counter
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from ganrun.config import schema
from ganrun.data.decode import SUFFIXES, BadImageError, decode
from ganrun.data.images import make_grid, save_png, to_float, to_uint8
from ganrun.errors import UserError
from ganrun.terminal import progress_bar
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.run_folder import make_run_folder
from ganrun.training.session import silence_libraries


def run(cfg: DictConfig, folder: Path) -> None:
    """Translates each picture of `input`, and draws the first beside their translations."""
    silence_libraries()
    schema.check_values(cfg)
    paths = find_images(Path(cfg.input).expanduser())
    trained = load_trained_model(cfg)
    trained.translator(cfg.to)
    x = torch.stack([load_image(trained, path) for path in progress_bar(paths, "loading images")])
    batches = progress_bar(x.split(cfg.batch_size), "translating")
    parts = [trained.translate(to_float(batch), cfg.to, cfg.batch_size) for batch in batches]
    there = to_uint8(torch.cat(parts))
    out = make_run_folder(Path(cfg.out or folder), "out")
    for path, picture in zip(output_paths(paths, Path(cfg.input).expanduser()), there, strict=True):
        (out / "pictures" / path).parent.mkdir(parents=True, exist_ok=True)
        save_png(out / "pictures" / path, picture.expand(3, -1, -1))
    pairs = torch.stack([x[:32], there[:32]], 1).flatten(0, 1)
    save_png(out / "pairs.png", make_grid(to_float(pairs), 8))
    console = Console(soft_wrap=True)
    console.print(f"{len(paths)} pictures    {out / 'pictures'}")
    console.print(f"side by side    {out / 'pairs.png'}")


def find_images(place: Path) -> list[Path]:
    """The picture files at a path, sorted."""
    found = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES) if place.is_dir() else [place]
    if not found or not found[0].is_file():
        raise UserError(
            f"There is no picture at {place}. Give input= a picture or a folder of {', '.join(sorted(SUFFIXES))}."
        )
    return found


def output_paths(paths: list[Path], place: Path) -> list[Path]:
    """Where translations go: in folders as their originals, as .png; where two would be one, with the old suffix."""
    found = [path.relative_to(place) if place.is_dir() else Path(path.name) for path in paths]
    stems = Counter(path.with_suffix("") for path in found)
    return [path.with_suffix(".png") if stems[path.with_suffix("")] == 1 else Path(f"{path}.png") for path in found]


def load_image(trained: TrainedModel, path: Path) -> torch.Tensor:
    """One picture of the model's size: uint8 [C, H, W]."""
    data = trained.config.data
    try:
        return torch.tensor(decode(path, data.size, data.channels, data.get("fit", "crop")))
    except BadImageError as error:
        raise UserError(f"{error}. Take it out of input=, or mend it.") from error

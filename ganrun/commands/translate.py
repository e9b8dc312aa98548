"""ganrun translate: takes a user's pictures to the other domain."""

from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console

from ganrun import limits
from ganrun.commands.train import quiet_libraries
from ganrun.commands.trained import Trained, load
from ganrun.data.decode import SUFFIXES, BadPictureError, decode
from ganrun.errors import UserError
from ganrun.pictures import grid, save_png, to_float, to_uint8
from ganrun.record import make_folder


def run(cfg: DictConfig, folder: Path) -> None:
    """Translates each picture of `input`, and draws the first beside their translations."""
    quiet_libraries()
    if cfg.to not in ("a", "b"):
        raise UserError(f"to={cfg.to} is not known. Allowed: a, b.")
    limits.check(cfg)
    paths = pictures_at(Path(cfg.input).expanduser())
    trained = load(cfg)
    if not hasattr(trained.model, "translate"):
        raise UserError(f"{trained.choices['model']} draws samples and translates none: ganrun sample {cfg.run}")
    x = torch.stack([read(trained, path) for path in paths])
    there = torch.cat([trained.model.translate(part, cfg.to).cpu() for part in x.split(cfg.batch_size)])
    out = make_folder(Path(cfg.out or folder))
    for path, picture in zip(paths, to_uint8(there), strict=True):
        save_png(out / f"{path.stem}.png", picture.expand(3, -1, -1))
    pairs = torch.stack([x[:32], there[:32]], 1).flatten(0, 1)
    save_png(out / "pairs.png", grid(pairs, 8))
    Console(soft_wrap=True).print(f"{len(paths)} pictures    {out}   (the first beside their originals: pairs.png)")


def pictures_at(place: Path) -> list[Path]:
    """The picture files at a path, sorted."""
    found = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES) if place.is_dir() else [place]
    if not found or not found[0].is_file():
        raise UserError(
            f"There is no picture at {place}. Give input= a picture or a folder of {', '.join(sorted(SUFFIXES))}."
        )
    return found


def read(trained: Trained, path: Path) -> torch.Tensor:
    """One picture as the model takes them: float [C, H, W] in [-1, 1]."""
    data = trained.cfg.data
    try:
        return to_float(torch.tensor(decode(path, data.size, data.channels, data.get("fit", "crop"))))
    except BadPictureError as error:
        raise UserError(f"{error}. Take it out of input=, or mend it.") from error

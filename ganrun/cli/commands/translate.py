"""ganrun translate: translates image files to the other domain of a trained model."""

from collections import Counter
from pathlib import Path

import torch
from omegaconf import DictConfig

from ganrun.config import schema
from ganrun.data.decode import SUFFIXES, BadImageError, decode
from ganrun.data.images import make_grid, save_png, to_float, to_uint8
from ganrun.errors import UserError
from ganrun.files import is_unfinished
from ganrun.terminal import PlainConsole, progress_bar
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.run_folder import make_run_folder


def run(cfg: DictConfig, folder: Path) -> None:
    """Translate the images at `input`; write the translations, and a grid of the first ones beside their originals."""
    schema.check_values(cfg)
    source = Path(cfg.input).expanduser()
    paths = input_images(source)
    trained = load_trained_model(cfg)
    trained.translator(cfg.to)  # raises if the model cannot, before all files are read
    originals = torch.stack([load_image(trained, path) for path in progress_bar(paths, "loading images")])
    batches = progress_bar(originals.split(cfg.batch_size), "translating")
    parts = [trained.translate(to_float(batch), cfg.to, cfg.batch_size) for batch in batches]
    translations = to_uint8(torch.cat(parts))

    def write(out: Path) -> None:
        for path, image in zip(output_paths(paths, source), translations, strict=True):
            save_png(out / "pictures" / path, image.expand(3, -1, -1))
        pairs = torch.stack([originals[:32], translations[:32]], 1).flatten(0, 1)
        save_png(out / "pairs.png", make_grid(to_float(pairs), 8))

    out = make_run_folder(Path(cfg.out or folder), write, "out")
    report = f"{len(paths)} images      {out / 'pictures'}", f"side by side  {out / 'pairs.png'}"
    PlainConsole(soft_wrap=True).print(*report, sep="\n")


def input_images(source: Path) -> list[Path]:
    """Return the image files at a path, sorted. UserError if there are none."""
    found = source.rglob("*") if source.is_dir() else [source]
    paths = sorted(p for p in found if p == source or (p.suffix.lower() in SUFFIXES and not is_unfinished(p)))
    if not paths or not paths[0].is_file():
        suffixes = ", ".join(sorted(SUFFIXES))
        raise UserError(f"No image at input={source}. Give an image file, or a folder with images ({suffixes}).")
    return paths


def output_paths(paths: list[Path], source: Path) -> list[Path]:
    """Return relative .png paths like those of the originals. Names that would clash keep their suffix: a.jpg.png."""
    relative = [path.relative_to(source) if source.is_dir() else Path(path.name) for path in paths]
    stems = Counter(path.with_suffix("") for path in relative)
    return [path.with_suffix(".png") if stems[path.with_suffix("")] == 1 else Path(f"{path}.png") for path in relative]


def load_image(trained: TrainedModel, path: Path) -> torch.Tensor:
    """Return an image in the model's size: uint8 [C, H, W]."""
    data = trained.config.data
    try:
        return torch.tensor(decode(path, data.size, data.channels, data.get("fit", "crop")))
    except BadImageError as error:
        raise UserError(f"{error}. Remove the file from the input folder, or repair it.") from error

"""ganrun sample: draws from a trained model."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from ganrun import seeds
from ganrun.config import schema
from ganrun.data.images import save_png, to_uint8
from ganrun.errors import UserError, did_you_mean
from ganrun.terminal import progress_bar
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.run_folder import make_run_folder
from ganrun.training.session import silence_libraries


def run(cfg: DictConfig, folder: Path) -> None:
    """Draws n samples and writes them as a grid, a folder or an array."""
    silence_libraries()
    writers = {"grid": write_sample_grid, "folder": write_folder, "npz": write_npz}
    if cfg["as"] not in writers:
        raise UserError(f"as={cfg['as']} is not known.{did_you_mean(str(cfg['as']), writers)}")
    schema.check_values(cfg)
    trained = load_trained_model(cfg)
    if not hasattr(trained.model, "sample"):
        raise UserError(f"{trained.choices['model']} translates and draws no samples: ganrun translate {cfg.run}")
    if cfg["as"] == "folder" and len(trained.data.shape) != 3:
        raise UserError("These samples are points, not pictures. Take as=grid (a scatter) or as=npz.")
    y = class_labels(trained, cfg)
    x = generate_samples(trained, cfg, y)
    out = make_run_folder(Path(cfg.out or folder), "out")
    Console(soft_wrap=True).print(f"{cfg.n} samples    {writers[cfg['as']](trained, x, y, out, cfg)}")


def class_labels(trained: TrainedModel, cfg: DictConfig) -> Tensor | None:
    """The classes asked for, in turn: int64 [n]; None for models that know none."""
    if "y" not in trained.model.needs:
        if cfg.classes is not None:
            raise UserError(f"{trained.choices['model']} knows no classes. Leave classes= out, or train model=cgan.")
        return None
    most = trained.model.classes
    asked = list(range(most)) if cfg.classes is None else cfg.classes
    asked = [asked] if isinstance(asked, (int, str)) else list(asked)
    if not asked or any(not isinstance(c, int) or not 0 <= c < most for c in asked):
        raise UserError(f"classes={asked} does not do: whole numbers from 0 to {most - 1}, such as classes=[0,1].")
    return torch.tensor(asked)[torch.arange(cfg.n) % len(asked)]


def generate_samples(trained: TrainedModel, cfg: DictConfig, y: Tensor | None) -> Tensor:
    """n samples on the CPU; a function of the seed and the batches' size, whatever the device."""
    generator = seeds.generator(cfg.seed)
    parts = [slice(start, min(start + cfg.batch_size, cfg.n)) for start in range(0, cfg.n, cfg.batch_size)]
    draws = [
        trained.model.sample(p.stop - p.start, None if y is None else y[p], generator).float().cpu()
        for p in progress_bar(parts, "sampling")
    ]
    return torch.cat(draws)


def write_sample_grid(trained: TrainedModel, x: Tensor, y: Tensor | None, out: Path, cfg: DictConfig) -> Path:
    save_png(out / "grid.png", trained.data.draw(x, cfg.columns))
    return out / "grid.png"


def write_folder(trained: TrainedModel, x: Tensor, y: Tensor | None, out: Path, cfg: DictConfig) -> Path:
    """A picture each, in a folder per class where there are classes."""
    for i, picture in enumerate(to_uint8(x)):
        place = out if y is None else out / str(y[i].item())
        place.mkdir(exist_ok=True)
        save_png(place / f"{i:06d}.png", picture.expand(3, -1, -1))
    return out


def write_npz(trained: TrainedModel, x: Tensor, y: Tensor | None, out: Path, cfg: DictConfig) -> Path:
    """x: uint8 [n, H, W, C], or float32 [n, 2] for points; y: int64 [n] where there are classes."""
    arrays = {"x": to_uint8(x).permute(0, 2, 3, 1).numpy() if x.ndim == 4 else x.numpy()}
    np.savez_compressed(out / "samples.npz", **arrays, **({} if y is None else {"y": y.numpy()}))
    return out / "samples.npz"

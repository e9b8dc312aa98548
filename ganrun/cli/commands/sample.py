"""ganrun sample: draws from a trained model."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from torch import Tensor

from ganrun.config import schema
from ganrun.data.images import save_png, to_uint8
from ganrun.errors import UserError, did_you_mean
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
    if cfg["as"] == "folder" and len(trained.data.shape) != 3:
        raise UserError("These samples are points, not pictures. Take as=grid (a scatter) or as=npz.")
    x, y = generate_samples(trained, cfg)
    out = make_run_folder(Path(cfg.out or folder), "out")
    Console(soft_wrap=True).print(f"{cfg.n} samples    {writers[cfg['as']](trained, x, y, out, cfg)}")


def generate_samples(trained: TrainedModel, cfg: DictConfig) -> tuple[Tensor, Tensor | None]:
    """The samples that the config asks for, and their classes if the model has classes."""
    classes = [*cfg.classes] if isinstance(cfg.classes, ListConfig) else cfg.classes
    y = trained.labels(cfg.n, classes)
    return trained.sample(cfg.n, y, cfg.seed, cfg.batch_size, show_progress=True), y


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

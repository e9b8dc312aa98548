"""ganrun sample: generates samples with a trained model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor

from ganrun.data.images import save_png, to_uint8
from ganrun.data.keys import keys_taken
from ganrun.errors import UserError, did_you_mean
from ganrun.terminal import PlainConsole
from ganrun.training.given_conditions import read_conditions
from ganrun.training.inference import TrainedModel, is_named, load_trained_model, number_classes
from ganrun.training.run_folder import check_new_folder, make_run_folder

Conditions = Mapping[str, Tensor]  # what the model takes for the samples, such as y


def run(cfg: DictConfig, folder: Path) -> None:
    """Generate n samples and write them as a grid, a folder of images or an array."""
    writers = {"grid": write_sample_grid, "folder": write_folder, "npz": write_npz}
    if cfg["as"] not in writers:
        raise UserError(f"Unknown format as={cfg['as']}.{did_you_mean(str(cfg['as']), writers)}")
    out = check_new_folder(Path(cfg.out or folder), "out")
    trained = load_trained_model(cfg)
    if cfg["as"] == "folder" and trained.data.kind != "picture":
        what = f"as=folder needs images, but these samples are {trained.data.kind}"
        raise UserError(f"{what}. Use as=grid (a scatter plot) or as=npz.")
    trained.check_count(cfg.n)
    classes = [*cfg.classes] if isinstance(cfg.classes, ListConfig) else cfg.classes
    given = read_conditions(cfg.conditions, trained.data.offered, keys_taken(trained.model), cfg.n)
    conditions = {**trained.conditions(cfg.n, classes, given), **given}
    try:
        x = trained.sample(cfg.n, seed=cfg.seed, batch_size=cfg.batch_size, show_progress=True, **conditions)
    except (IndexError, RuntimeError) as error:  # such as a word that an embedding does not have
        if not given or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        is_on_cpu = trained.model.device.type == "cpu"  # a GPU does not name the index that is out of range
        advice = "" if is_on_cpu else ". With device=cpu, the message says more."
        raise UserError(f"The model cannot use the conditions {', '.join(given)}: {reason}{advice}") from error
    write, names = writers[cfg["as"]], {"grid": "grid.png", "folder": "", "npz": "samples.npz"}
    out = make_run_folder(out, lambda partial: write(trained, x, conditions, partial, cfg), "out")
    console = PlainConsole(soft_wrap=True)
    console.print(f"{cfg.n} samples    {out / names[cfg['as']]}")
    if "y" in conditions and is_named(trained.class_names):
        console.print(f"classes       {number_classes(trained.class_names)}")


def write_sample_grid(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    save_png(out / "grid.png", trained.data.draw(x, cfg.columns))


def write_folder(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    """Write one file per image, in a subfolder per class if there are classes."""
    for i, image in enumerate(to_uint8(x)):
        folder = out / str(conditions["y"][i].item()) if "y" in conditions else out
        folder.mkdir(exist_ok=True)
        save_png(folder / f"{i:06d}.png", image.expand(3, -1, -1))


def write_npz(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    """Write x: uint8 [n, H, W, C], or float32 [n, 2] for points; and what the model takes, such as y: int64 [n]."""
    arrays: dict[str, Any] = {"x": to_uint8(x).permute(0, 2, 3, 1).numpy() if x.ndim == 4 else x.numpy()}
    arrays |= {key: value.numpy() for key, value in conditions.items()}
    np.savez_compressed(out / "samples.npz", **arrays)

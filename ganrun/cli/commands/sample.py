"""ganrun sample: generates samples with a trained model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor

from ganrun.cli.given import given_settings
from ganrun.config.value_types import format_setting_value
from ganrun.data.images import save_png, to_file_array, to_uint8
from ganrun.data.keys import keys_taken
from ganrun.errors import UserError, did_you_mean
from ganrun.terminal import PlainConsole
from ganrun.training.class_labels import is_named, number_classes
from ganrun.training.given_conditions import read_conditions
from ganrun.training.inference import TrainedModel, load_trained_model
from ganrun.training.latents import LATENTS, check_takes_latents, read_latents, set_codes, write_latents
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
    n, z, others = chosen_latents(cfg, trained)
    trained.check_count(n)
    classes = [*cfg.classes] if isinstance(cfg.classes, ListConfig) else cfg.classes
    classes = others.pop("y") if classes is None and "y" in others else classes
    wanted = {key: cfg.z for key in others if key != "y"} | dict(cfg.conditions or {})
    given = read_conditions(OmegaConf.create(wanted), trained.data.offered, keys_taken(trained.model), n)
    conditions = {**trained.conditions(n, classes, given), **given}
    try:
        x = trained.sample(n, seed=cfg.seed, batch_size=cfg.batch_size, show_progress=True, z=z, **conditions)
    except (IndexError, RuntimeError) as error:  # such as a word that an embedding does not have
        if not given or isinstance(error, torch.OutOfMemoryError):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        is_on_cpu = trained.model.device.type == "cpu"  # a GPU does not name the index that is out of range
        advice = "" if is_on_cpu else ". With device=cpu, the message says more."
        raise UserError(f"The model cannot use the conditions {', '.join(given)}: {reason}{advice}") from error
    write, names = writers[cfg["as"]], {"grid": "grid.png", "folder": "", "npz": "samples.npz"}

    def write_all(partial: Path) -> None:
        write(trained, x, conditions, partial, cfg)
        if z is not None and cfg.latents:
            write_latents(partial, z, conditions)

    out = make_run_folder(out, write_all, "out")
    console = PlainConsole(soft_wrap=True)
    console.print(f"{n} samples    {out / names[cfg['as']]}")
    if cfg.latents:
        console.print(f"latents       {out / LATENTS}")
    if "y" in conditions and is_named(trained.class_names):
        console.print(f"classes       {number_classes(trained.class_names)}")


def chosen_latents(cfg: DictConfig, trained: TrainedModel) -> tuple[int, Tensor | None, dict[str, Any]]:
    """Return the number of samples, their latents [n, z_dim], and what else z= says of them, such as y.

    The latents are None where the model draws them itself. Raises UserError for a model that takes none.
    """
    used = [name for name in ("z", "code", "latents") if cfg[name]]
    if not used:
        return cfg.n, None, {}
    check_takes_latents(trained, f"{used[0]}={format_setting_value(cfg[used[0]])}")
    if cfg.z is None:
        z, others = trained.latents(cfg.n, cfg.seed, cfg.batch_size), {}
    else:
        z, others = read_latents(cfg.z, trained)
        n = cfg.n if "n" in given_settings() else len(z)
        if n > len(z):
            raise UserError(f"z={cfg.z} has {len(z)} latents, fewer than n={n}. Leave out n=.")
        z, others = z[:n], {key: value[:n] for key, value in others.items()}
    return len(z), set_codes(z, cfg.code, trained) if cfg.code else z, others


def write_sample_grid(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    save_png(out / "grid.png", trained.data.draw(x, cfg.columns))


def write_folder(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    """Write one file per image, in a subfolder per class if there are whole classes."""
    has_classes = "y" in conditions and conditions["y"].ndim == 1
    for i, image in enumerate(to_uint8(x)):
        folder = out / str(conditions["y"][i].item()) if has_classes else out
        folder.mkdir(exist_ok=True)
        save_png(folder / f"{i:06d}.png", image.expand(3, -1, -1))


def write_npz(trained: TrainedModel, x: Tensor, conditions: Conditions, out: Path, cfg: DictConfig) -> None:
    """Write x: uint8 [n, H, W, C], or float32 [n, 2] for points; and what the model takes, such as y: int64 [n]."""
    arrays: dict[str, Any] = {"x": to_file_array(x)}
    arrays |= {key: value.numpy() for key, value in conditions.items()}
    np.savez_compressed(out / "samples.npz", **arrays)

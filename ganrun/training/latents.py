"""Latents that a user gives for samples: those of a file, and values of codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor

from ganrun.data.keys import keys_taken
from ganrun.errors import UserError, did_you_mean, shorten
from ganrun.files import user_path
from ganrun.networks.codes import Code, LatentCodes
from ganrun.training.given_conditions import read_arrays
from ganrun.training.inference import TrainedModel

LARGEST = 1000  # of the numbers of a code, far beyond those of any training
LATENTS = "latents.npz"  # which latents=true writes
ARRAYS = "a .npz file with an array z, such as latents=true writes, or a .npy file of it"


def read_latents(path: str, trained: TrainedModel) -> tuple[Tensor, dict[str, Any]]:
    """Return the latents of a file, float32 [n, z_dim], and the arrays in it that the model also takes.

    y is a list of classes, or a tensor of their weights [n, classes].
    Raises UserError for a file without an array z that fits the model.
    """
    taken = [*keys_taken(trained.model)]
    arrays = read_arrays(f"z={shorten(path)}", ["z", *taken], user_path(path), ARRAYS)
    z, z_dim = arrays.pop("z"), trained.model.z_dim
    if z.ndim != 2 or z.shape[1] != z_dim or not len(z):
        raise UserError(
            f"z={shorten(path)} has an array of the shape {[*z.shape]}. n latents of this run have [n, {z_dim}]."
        )
    with np.errstate(over="ignore"):
        z = z.astype(np.float32)
    if not np.isfinite(z).all():
        raise UserError(f"The latents of z={shorten(path)} must be finite numbers, as float32 holds them.")
    others: dict[str, Any] = {**arrays}
    if "y" in arrays:
        others["y"] = arrays["y"].tolist() if arrays["y"].ndim < 2 else torch.from_numpy(arrays["y"])
    return torch.from_numpy(z), others


def set_codes(z: Tensor, given: DictConfig | str, trained: TrainedModel) -> Tensor:
    """Return the latents with these values of their codes, {name: value or values, which are taken in turn}.

    Raises UserError for a code that the model does not have, and for a value that the code cannot have.
    """
    if not isinstance(given, DictConfig):
        raise UserError(f"code={given} must be a mapping of codes and their values, such as 'code={{{given}: 0}}'.")
    codes, z = getattr(trained.model, "codes", None), z.clone()
    if not isinstance(codes, LatentCodes):
        raise UserError(
            f"code={dict(given)}: {trained.choices['model']} has no codes. Leave it out, or train model=infogan."
        )
    parts = codes.split(z)  # views of z
    for name, values in given.items():
        if name not in codes:
            raise UserError(f"code.{name}: there is no such code.{did_you_mean(str(name), codes)}")
        rows = [
            row_of(str(name), codes[str(name)], value)
            for value in (values if isinstance(values, ListConfig) else [values])
        ]
        if not rows:
            raise UserError(f"code.{name}=[] has no values.")
        parts[str(name)].copy_(torch.stack(rows)[torch.arange(len(z)) % len(rows)])
    return z


def row_of(name: str, code: Code, value: Any) -> Tensor:
    """Return what a code is in a latent for a value: [size]."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if code.size == 1 and is_number and abs(value) <= LARGEST:
        return torch.tensor([float(value)])
    if code.size > 1 and isinstance(value, int) and is_number and 0 <= value < code.size:
        return torch.eye(code.size)[value]
    allowed = f"numbers from -{LARGEST} to {LARGEST}" if code.size == 1 else f"integers from 0 to {code.size - 1}"
    raise UserError(f"code.{name} must be one or several {allowed}, such as 'code={{{name}: [0,1]}}', got {value}.")


def check_takes_latents(trained: TrainedModel, setting: str) -> None:
    """Raise UserError if the model's samples are not made of latents alone."""
    model = trained.model
    if not (callable(getattr(model, "decode", None)) and hasattr(model, "noise") and hasattr(model, "z_dim")):
        what, advice = trained.choices["model"], ""
        if trained.card is not None:
            what, advice = "an exported program", " Use the run, or export it with format=safetensors."
        raise UserError(
            f"{setting} needs a model whose samples are made of latents z alone, which {what} is not.{advice}"
        )


def write_latents(out: Path, z: Tensor, conditions: Mapping[str, Tensor]) -> None:
    """Write z and what else the samples were made of, such as y, for z=."""
    arrays: dict[str, Any] = {"z": z.numpy(), **{key: value.numpy() for key, value in conditions.items()}}
    np.savez_compressed(out / LATENTS, **arrays)

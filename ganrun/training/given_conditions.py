"""Conditions of samples that a user gives on the command line: numbers, or arrays in a file."""

import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import ArrayLike
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from ganrun.data.keys import SCALED, WHOLE, Key
from ganrun.errors import UserError, did_you_mean

HOW = "numbers, such as [0.5,-1], or a file of them: NAME.npy, or NAME.npz with an array of this name"


def read_conditions(
    given: DictConfig | None, keys: Mapping[str, Key], taken: Collection[str], n: int
) -> dict[str, Tensor]:
    """Return the conditions of n samples as in a batch, {key: [n, ...]}; one or several examples are taken in turn.

    given: {key: numbers, or the path of a .npy or .npz file}, or None.  keys: of the data.  taken: by the model.
    Raises UserError for a key that the model does not take, and for values that do not have its kind and shape.
    """
    conditions = {}
    values = OmegaConf.to_container(given or DictConfig({}), resolve=True)
    for name, value in cast("dict[str, Any]", values).items():
        if name == "y" or name not in taken:
            hint = "Classes have a setting of their own: 'classes=[3,7]'." if name == "y" else describe(name, taken)
            raise UserError(f"conditions.{name} cannot be given. {hint}")
        path = Path(value).expanduser() if isinstance(value, str) else None
        array = to_numbers(name, value) if path is None else read_array(name, path)
        examples = keys[name].to_batch(in_shape(name, array, keys[name]))
        conditions[name] = examples[torch.arange(n) % len(examples)]
    return conditions


def describe(name: str, taken: Collection[str]) -> str:
    others = [key for key in taken if key != "y"]
    if not others:
        return "This model takes no conditions but classes." if taken else "This model takes no conditions."
    return f"This model takes {', '.join(others)}.{did_you_mean(name, others)}"


def to_numbers(name: str, value: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise UserError(f"conditions.{name}={value} must be {HOW}.")
    return array


def read_array(name: str, path: Path) -> np.ndarray:
    """Return the array of a .npy file, or that with this name of a .npz file."""
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"conditions.{name}={path} must be {HOW}.")
    try:
        content = np.load(path, allow_pickle=False)  # what the file is, whatever its name says
        if isinstance(content, np.ndarray):
            return to_numbers(name, content)
        with content as arrays:
            if name not in arrays:
                raise UserError(f"conditions.{name}={path} has no array {name}, but {', '.join(arrays) or 'nothing'}.")
            return to_numbers(name, arrays[name])
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"conditions.{name}={path} cannot be read: {error}.") from error


def in_shape(name: str, array: np.ndarray, key: Key) -> Tensor:
    """Return the examples of an array, one or several: [k, *shape]."""
    array = array[None] if array.ndim == len(key.shape) else array
    if array.shape[1:] != tuple(key.shape) or not len(array):
        sizes = ", ".join(["k", *map(str, key.shape)])
        raise UserError(
            f"conditions.{name} has the shape {[*array.shape]}. An example of {name} has {[*key.shape]}, and k "
            f"examples have [{sizes}]."
        )
    is_whole = array.dtype.kind != "f"
    if key.kind in WHOLE and not is_whole:
        raise UserError(f"conditions.{name} must be integers.")
    with np.errstate(over="ignore"):
        array = array.astype(np.int64 if is_whole else np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"conditions.{name} must be finite numbers, as float32 holds them.")
    if key.kind in SCALED and is_whole:
        if array.min() < 0 or array.max() > 255:
            raise UserError(f"conditions.{name} must be integers from 0 to 255, or float in [-1, 1].")
        array = array.astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(array))

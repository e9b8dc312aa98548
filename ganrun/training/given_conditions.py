"""Conditions of samples that a user gives on the command line: numbers, or arrays in a file."""

import zlib
from collections.abc import Collection, Mapping, Sequence
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
        setting = f"conditions.{name}={value}"
        array = to_numbers(setting, value) if path is None else read_arrays(setting, [name], path)[name]
        examples = keys[name].to_batch(in_shape(name, array, keys[name]))
        conditions[name] = examples[torch.arange(n) % len(examples)]
    return conditions


def describe(name: str, taken: Collection[str]) -> str:
    others = [key for key in taken if key != "y"]
    if not others:
        return "This model takes no conditions but classes." if taken else "This model takes no conditions."
    return f"This model takes {', '.join(others)}.{did_you_mean(name, others)}"


def to_numbers(setting: str, value: ArrayLike, how: str = HOW) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise UserError(f"{setting} must be {how}.")
    return array


def read_arrays(setting: str, names: Sequence[str], path: Path, how: str = HOW) -> dict[str, np.ndarray]:
    """Return the array of a .npy file under the first of the names, or those of a .npz file with these names.

    setting: as the user gave it, "conditions.code=FILE".  how: what it must be. A file without the first is refused.
    """
    name = names[0]
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"{setting} must be {how}.")
    try:
        content = np.load(path, allow_pickle=False)  # what the file is, whatever its name says
        if isinstance(content, np.ndarray):
            return {name: to_numbers(setting, content, how)}
        with content as arrays:
            if name not in arrays:
                raise UserError(f"{setting} has no array {name}, but {', '.join(arrays) or 'nothing'}.")
            return {key: to_numbers(setting, arrays[key], how) for key in names if key in arrays}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(f"{setting} cannot be read: {error}.") from error


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

"""Plain types for checkpoints: what torch's loader reads back without running code.

Other values that a callback or a model may keep in its state (arrays, sets, paths ...) are stored as
{"ganrun:KIND": ...} and come back equal.
"""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path, PurePath
from types import NoneType
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from ganrun.training.config_stand_in import ConfigStandIn

NUMPY_KINDS = "?biufcSUmM"  # booleans, numbers, text, times: arrays of bytes, without pickled objects
FACTORIES = {kind.__name__: kind for kind in (int, float, str, list, dict, set)}  # of a defaultdict
UNCHANGED = (NoneType, bool, torch.dtype, torch.device, torch.layout, torch.Size)
EXACT = {NoneType, bool, int, float, str}  # most of a checkpoint's values; their subclasses are converted
SCALARS = (str, int, float, complex, bytes)


class NotPlainError(TypeError):
    """A value that has no plain form. The message names the keys that lead to it, and its type."""


def to_plain(value: Any, path: str = "") -> Any:
    """Return a copy of `value` in plain types, tensors on the CPU.

    path: the keys that lead to the value. Raises NotPlainError, which names them, for a value that has no plain form.
    """
    if type(value) in EXACT or isinstance(value, UNCHANGED):
        return value
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True).as_subclass(Tensor)
    for kind, convert in CONVERTERS.items():
        if isinstance(value, kind) and not isinstance(value, Enum) and not hasattr(value, "_fields"):  # a namedtuple
            return convert(value, path)
    raise NotPlainError(
        f"{path} is a {type(value).__module__}.{type(value).__qualname__}, and checkpoints are read without running "
        "code. Keep numbers, strings, tensors, arrays, lists or dicts there"
    )


def plain_entries(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that have a plain form, without the others, such as the networks among a model's arguments."""
    entries = {}
    for key in arguments:
        with suppress(NotPlainError, OmegaConfBaseException):
            entries[key] = to_plain(arguments[key])
    return entries


def from_plain(value: Any) -> Any:
    """Return what `to_plain` was given, from its result. Raises ValueError, TypeError or KeyError for anything else."""
    if isinstance(value, ConfigStandIn):
        return from_plain(value.value())
    if isinstance(value, Mapping):
        content = {key: from_plain(entry) for key, entry in value.items()}
        kind = next(iter(content), None)
        make: Any = type(value)
        return DECODERS[kind](content[kind]) if kind in DECODERS and len(content) == 1 else make(content)
    return type(value)(map(from_plain, value)) if type(value) in (list, tuple) else value


def _plain_scalar(value: Any, path: str) -> Any:
    kind: Any = next(kind for kind in SCALARS if isinstance(value, kind))
    return kind(value)  # of a subclass, such as torch.__version__


def _plain_list(value: list | tuple, path: str) -> list | tuple:
    kind = tuple if isinstance(value, tuple) else list
    return kind(to_plain(entry, f"{path}[{i}]") for i, entry in enumerate(value))


def _plain_mapping(value: Mapping, path: str) -> Mapping:
    kind: Any = type(value) if type(value) in (OrderedDict, Counter) else dict
    return kind({_plain_key(key, path): to_plain(entry, join_keys(path, key)) for key, entry in value.items()})


def join_keys(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _plain_key(key: Any, path: str) -> Any:
    if type(key) in EXACT:
        return key
    key = key.item() if isinstance(key, np.generic) else key  # is equal, and has the same hash
    if isinstance(key, tuple):
        return tuple(_plain_key(part, path) for part in key)
    plain = to_plain(key, f"The key {key!r} of {path}")
    if isinstance(plain, Mapping):  # stored as another type, which is not a key
        raise NotPlainError(f"The key {key!r} of {path} is a {type(key).__name__}. Use strings or numbers as keys")
    return plain


def _plain_array(value: np.ndarray | np.generic, path: str) -> dict[str, Any]:
    array = np.asarray(value)
    if array.dtype.kind not in NUMPY_KINDS or isinstance(value, np.ma.MaskedArray):
        raise NotPlainError(f"{path} is an array of {array.dtype}. Keep an array of numbers there")
    content = torch.tensor(np.frombuffer(array.tobytes(), np.uint8))
    kind = "array" if isinstance(value, np.ndarray) else "scalar"
    return {f"ganrun:{kind}": [array.dtype.str, [*array.shape], content]}


def _array(content: list) -> np.ndarray:
    kind, shape, data = content
    return np.frombuffer(data.numpy().tobytes(), kind).reshape(shape).copy()


def _plain_deque(value: deque, path: str) -> dict[str, Any]:
    return {"ganrun:deque": [_plain_list(list(value), path), value.maxlen]}


def _plain_set(value: set | frozenset, path: str) -> dict[str, Any]:
    return {f"ganrun:{'set' if isinstance(value, set) else 'frozenset'}": _plain_list(list(value), path)}


def _plain_defaultdict(value: defaultdict, path: str) -> dict[str, Any]:
    name = getattr(value.default_factory, "__name__", None)
    if value.default_factory is not None and FACTORIES.get(str(name)) is not value.default_factory:
        raise NotPlainError(f"{path} is a defaultdict of {name}. Keep a dict there")
    return {"ganrun:defaultdict": [name, _plain_mapping(dict(value), path)]}


def _plain_config(value: DictConfig | ListConfig, path: str) -> Any:
    return to_plain(OmegaConf.to_container(value, resolve=True), path)


CONVERTERS: dict[Any, Callable[[Any, str], Any]] = {  # the first whose type fits
    (np.generic, np.ndarray): _plain_array,  # np.float64 is a float, too
    SCALARS: _plain_scalar,
    (DictConfig, ListConfig): _plain_config,
    defaultdict: _plain_defaultdict,
    Mapping: _plain_mapping,
    (list, tuple): _plain_list,
    deque: _plain_deque,
    (set, frozenset): _plain_set,
    bytearray: lambda value, path: {"ganrun:bytearray": bytes(value)},
    PurePath: lambda value, path: {"ganrun:path": str(value)},
}
DECODERS: dict[Any, Callable[[Any], Any]] = {
    "ganrun:array": _array,
    "ganrun:scalar": lambda content: _array(content)[()],
    "ganrun:deque": lambda content: deque(*content),
    "ganrun:set": set,
    "ganrun:frozenset": frozenset,
    "ganrun:defaultdict": lambda content: defaultdict(FACTORIES[content[0]] if content[0] else None, content[1]),
    "ganrun:bytearray": lambda content: bytearray(bytes(content)),
    "ganrun:path": Path,
}

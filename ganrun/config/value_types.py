"""The types of setting values. Each says which values it admits, what it is in words, and how to fix a wrong value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

from omegaconf import DictConfig, ListConfig

from ganrun.errors import suggest


@dataclass(frozen=True)
class ValueType:
    """What a setting may be.

    description: completes the sentence "data.size must be ...".   admits: whether a value is allowed.
    hint: returns, for a key and a wrong value, a sentence that fixes it with a space before it; empty if there is none.
    """

    description: str
    admits: Callable[[Any], bool]
    hint: Callable[[str, Any], str] = lambda key, value: ""


def number(
    least: float = -inf, above: float = -inf, most: float = inf, whole: bool = False, optional: bool = False
) -> ValueType:
    """A number above `above` and in [least, most]; an integer if `whole`; null if `optional`."""
    lower = f"above {above}" if above > -inf else f"of at least {least}"
    bounds = lower if most == inf else f"from {least} to {most}"

    def admits(value: Any) -> bool:
        if value is None:
            return optional
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        return is_number and value > above and least <= value <= most

    return ValueType(f"{'an integer' if whole else 'a number'} {bounds}{' or null' if optional else ''}", admits)


def one_of(*choices: str, optional: bool = False) -> ValueType:
    """One of a few strings; null if `optional`."""

    def hint(key: str, value: Any) -> str:
        near = get_close_matches(str(value), choices, n=1, cutoff=0.5)
        return suggest([f"{key}={choice}" for choice in near])

    description = f"one of {', '.join(choices)}{' or null' if optional else ''}"
    return ValueType(description, lambda value: value in choices or (optional and value is None), hint)


def quoting_hint(key: str, value: Any) -> str:
    is_scalar = isinstance(value, int | float)
    return f" Quote it: {key}='\"{format_setting_value(value)}\"'" if is_scalar else ""


def is_list_of(test: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, ListConfig) and all(map(test, value))


def are_devices(value: Any) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return (is_integer and (value >= 1 or value == -1)) or value == "auto" or isinstance(value, ListConfig)


def are_splits(value: Any) -> bool:
    return bool(value) and is_list_of(lambda split: split in ("train", "test"), value)


def are_sides(value: Any) -> bool:
    is_side = number(least=1, whole=True).admits
    return is_side(value) or (is_list_of(is_side, value) and len(value) == 2)


def size_hint(key: str, value: Any) -> str:
    """Return how to write 48x64 or (48,64)."""
    sides = re.fullmatch(r"\D*(\d+)\D+(\d+)\D*", str(value))
    return f" Write height and width: '{key}=[{sides[1]},{sides[2]}]'" if sides else ""


TEXT = ValueType("a string or null", lambda value: value is None or isinstance(value, str), quoting_hint)
FLAG = ValueType("true or false", lambda value: isinstance(value, bool))
TABLE = ValueType("a mapping, {key: value}", lambda value: isinstance(value, DictConfig))
TEXTS = ValueType(
    "a string or a list of strings, ['string', 'string']",
    lambda value: isinstance(value, str) or is_list_of(lambda one: isinstance(one, str), value),
)
SPLITS = ValueType("a list of splits, [train], [test] or [train,test]", are_splits)
SPLITS_OR_NULL = ValueType(f"{SPLITS.description}, or null", lambda value: value is None or are_splits(value))
SIZE = ValueType("an integer of at least 1, or height and width, such as [48,64]", are_sides, size_hint)
DEVICES = ValueType("an integer of at least 1, -1 or auto for all devices, or a list such as [0,1]", are_devices)


def format_setting_value(value: Any) -> str:
    """Return the value in the notation of the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, ListConfig | list):
        return f"[{','.join(map(format_setting_value, value))}]"
    return str(value)

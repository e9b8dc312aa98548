"""The types of setting values. Each says which values it admits, what it is in words, and how to fix a wrong value."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

from omegaconf import DictConfig, ListConfig


class ValueType:
    """What a setting may be. `str()` of it completes the sentence "data.size must be ..."."""

    def admits(self, value: Any) -> bool:
        raise NotImplementedError

    def hint(self, key: str, value: Any) -> str:
        """Return a sentence that fixes a wrong value, with a space before it; empty if there is none."""
        return ""


@dataclass(frozen=True)
class Number(ValueType):
    """A number above `above` and in [least, most]; an integer if `whole`; null if `optional`."""

    least: float = -inf
    above: float = -inf
    most: float = inf
    whole: bool = False
    optional: bool = False

    def admits(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return value > self.above and self.least <= value <= self.most

    def __str__(self) -> str:
        lower = f"above {self.above}" if self.above > -inf else f"of at least {self.least}"
        bounds = lower if self.most == inf else f"from {self.least} to {self.most}"
        return f"{'an integer' if self.whole else 'a number'} {bounds}{' or null' if self.optional else ''}"


@dataclass(frozen=True)
class OneOf(ValueType):
    """One of a few strings; null if `optional`."""

    choices: tuple[str, ...]
    optional: bool = False

    def admits(self, value: Any) -> bool:
        return self.optional if value is None else isinstance(value, str) and value in self.choices

    def hint(self, key: str, value: Any) -> str:
        near = get_close_matches(str(value), self.choices, n=1, cutoff=0.5)
        return f" Did you mean {key}={near[0]}?" if near else ""

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}{' or null' if self.optional else ''}"


@dataclass(frozen=True)
class Kind(ValueType):
    """Values that pass a test. description completes "must be ..."."""

    description: str
    is_admitted: Callable[[Any], bool]

    def admits(self, value: Any) -> bool:
        return self.is_admitted(value)

    def __str__(self) -> str:
        return self.description


class Text(ValueType):
    """A string or null."""

    def admits(self, value: Any) -> bool:
        return value is None or isinstance(value, str)

    def hint(self, key: str, value: Any) -> str:
        is_scalar = isinstance(value, int | float)
        return f" Quote it: {key}='\"{format_setting_value(value)}\"'" if is_scalar else ""

    def __str__(self) -> str:
        return "a string or null"


def is_list_of(test: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, ListConfig) and all(map(test, value))


def are_devices(value: Any) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return (is_integer and (value >= 1 or value == -1)) or value == "auto" or isinstance(value, ListConfig)


def are_splits(value: Any) -> bool:
    return bool(value) and is_list_of(lambda split: split in ("train", "test"), value)


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TABLE = Kind("a mapping, {key: value}", lambda value: isinstance(value, DictConfig))
TEXTS = Kind(
    "a string or a list of strings, ['string', 'string']",
    lambda value: isinstance(value, str) or is_list_of(lambda one: isinstance(one, str), value),
)
SPLITS = Kind("a list of splits, [train], [test] or [train,test]", are_splits)
SPLITS_OR_NULL = Kind(f"{SPLITS}, or null", lambda value: value is None or are_splits(value))
DEVICES = Kind("an integer of at least 1, -1 or auto for all devices, or a list such as [0,1]", are_devices)


def format_setting_value(value: Any) -> str:
    """Return the value in the notation of the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, ListConfig | list):
        return f"[{','.join(map(format_setting_value, value))}]"
    return str(value)

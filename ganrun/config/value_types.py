"""The types of setting values. Each says which values it admits, what it is in words, and how to fix a wrong value."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Any

from omegaconf import DictConfig, ListConfig

from ganrun.errors import suggest

LARGEST = 2**31 - 1  # of integers that have no other upper limit
MAX_KIMG = 1e8  # more than anybody trains on
ENDLESS = "For a training that only time ends: kimg=null minutes=60"


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
    least: float = -inf,
    above: float = -inf,
    most: float = inf,
    below: float = inf,
    whole: bool = False,
    optional: bool = False,
    usable: tuple[float, float] | None = None,
) -> ValueType:
    """A finite number above `above`, below `below` and in [least, most]; an integer if `whole`; null if `optional`.

    usable: the smallest and the largest number that work in practice, given as a hint.
    """
    lowest, highest = usable or (-inf, LARGEST if whole and most == inf else inf)
    lower = f"above {above}" if above > -inf else f"of at least {least}" if least > -inf else ""
    bounds = f"from {least} to {f'below {below}' if below < inf else most}" if min(most, below) < inf else lower
    words = "an integer" if whole else "a number", bounds, "or null" if optional else ""

    def is_number(value: Any) -> bool:
        return isinstance(value, int if whole else int | float) and not isinstance(value, bool)

    def admits(value: Any) -> bool:
        if value is None:
            return optional
        is_inside = is_number(value) and above < value < below and least <= value <= most
        return is_inside and lowest <= value <= highest and abs(value) < inf

    def hint(key: str, value: Any) -> str:
        if not is_number(value) or not above < value:
            return ""
        limits = {" It must be finite.": abs(value) == inf, f" At least {lowest:g}.": least < lowest and value < lowest}
        limits[f" At most {highest:{'' if whole else 'g'}}."] = value > highest
        return next((text for text, applies in limits.items() if applies), "")

    return ValueType(" ".join(filter(None, words)), admits, hint)


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


def flag_hint(key: str, value: Any) -> str:
    words = {"yes": "true", "on": "true", "no": "false", "off": "false"}
    meant = words.get(str(value).lower())
    return suggest([f"{key}={meant}"] if meant else [])


def is_list_of(test: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, ListConfig) and all(map(test, value))


def largest_hint(key: str, value: Any) -> str:
    """Return the largest integer if this one, or one in this list, is larger; "" for other values."""
    values = value if isinstance(value, ListConfig) else [value]
    is_larger = any(isinstance(each, int) and each > LARGEST for each in values)
    return f" At most {LARGEST}." if is_larger else ""


def list_of(item: ValueType, plural: str, length: int | None = None, optional: bool = False) -> ValueType:
    """A list of values of another type, which `plural` describes: at least one, or `length`; null if `optional`."""

    def admits(value: Any) -> bool:
        has_length = isinstance(value, ListConfig) and bool(value) and length in (None, len(value))
        return (value is None and optional) or (has_length and is_list_of(item.admits, value))

    return ValueType(f"a list of {plural}{' or null' if optional else ''}", admits, largest_hint)


def or_null(kind: ValueType) -> ValueType:
    """Values of another type, and null."""
    return dataclasses.replace(
        kind, description=f"{kind.description}, or null", admits=lambda value: value is None or kind.admits(value)
    )


def length_hint(key: str, value: Any) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        return ""
    return " At least 0.001, one image." if value < 1 else f" At most {MAX_KIMG:g}. {ENDLESS}"


def are_devices(value: Any) -> bool:
    if isinstance(value, ListConfig):
        return bool(value) and is_list_of(INDEX.admits, value) and len(set(value)) == len(value)
    return COUNT.admits(value) or value in ("auto", "-1") or (value == -1 and not isinstance(value, float))


def are_splits(value: Any) -> bool:
    return bool(value) and is_list_of(lambda split: split in ("train", "test"), value)


def are_sides(value: Any) -> bool:
    return COUNT.admits(value) or (is_list_of(COUNT.admits, value) and len(value) == 2)


def size_hint(key: str, value: Any) -> str:
    """Return how to write 48x64 or (48,64), or the largest size."""
    if hint := largest_hint(key, value):
        return hint
    sides = re.fullmatch(r"\D*(\d+)\D+(\d+)\D*", str(value))
    return f" Write height and width: '{key}=[{sides[1]},{sides[2]}]'" if sides else ""


def is_class(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(re.fullmatch(r"\w+(\.\w+)*", value)))


def are_classes(value: Any) -> bool:
    """Return whether these are numbers or names of classes: one, a list, or null for all."""
    one = value if isinstance(value, ListConfig) else [value]
    return value is None or all(INDEX.admits(each) or isinstance(each, str) for each in one)


COUNT, INDEX = number(least=1, whole=True), number(least=0, whole=True)
TEXT = ValueType("a string or null", lambda value: value is None or isinstance(value, str), quoting_hint)
NAME = ValueType("a string that is not empty", lambda value: isinstance(value, str) and value != "", quoting_hint)
FLAG = ValueType("true or false", lambda value: isinstance(value, bool), flag_hint)
FLAG_OR_NULL = ValueType("true, false or null", lambda value: value is None or isinstance(value, bool), flag_hint)
TABLE = ValueType("a mapping, {key: value}", lambda value: isinstance(value, DictConfig))
TABLE_OR_NULL = or_null(TABLE)
OBJECT = ValueType(
    "a mapping that names a class, {_target_: MODULE.CLASS}",
    lambda value: isinstance(value, DictConfig) and isinstance(value.get("_target_"), str),
)
TEXT_OR_WHOLE = ValueType(
    "a string, an integer of at least 0 or null",
    lambda value: TEXT.admits(value) or INDEX.admits(value),
    largest_hint,
)
UNITS = list_of(COUNT, "integers of at least 1, such as [256,256]")
SHARE = number(least=0, below=1)
BETAS = dataclasses.replace(
    two_shares := list_of(SHARE, "two numbers from 0 to below 1", length=2),
    admits=lambda value: two_shares.admits(value) or bool(re.fullmatch(r"\([\d\s.,eE+-]*\)", str(value))),  # (.5, .9)
)
LENGTH = dataclasses.replace(
    number(above=0, optional=True, usable=(0.001, MAX_KIMG)),
    description="a number above 0",
    hint=length_hint,
)
CLASS = ValueType("a class, MODULE.CLASS, or null", is_class)
CLASS_NAME = ValueType("a class, MODULE.CLASS", lambda value: value is not None and is_class(value))
NAME_OR_NULL = or_null(NAME)
TEXTS = ValueType(
    "a string or a list of strings, ['string', 'string']",
    lambda value: isinstance(value, str) or is_list_of(lambda one: isinstance(one, str), value),
)
SCORES = ValueType(
    "a list of scores, such as [kid,prdc]",
    lambda value: is_list_of(lambda one: isinstance(one, str | DictConfig), value),
)
SIZE = ValueType("an integer of at least 1, or height and width, such as [48,64]", are_sides, size_hint)
SPLITS = ValueType("a list of splits, [train], [test] or [train,test]", are_splits)
SPLITS_OR_NULL = or_null(SPLITS)
DEVICES = ValueType(
    "an integer of at least 1, -1 or auto for all devices, or a list such as [0,1]", are_devices, largest_hint
)
CODE = ValueType(
    "a mapping of codes to values, such as {c1: 3}, the name of a code, or null",
    lambda value: value is None or isinstance(value, DictConfig) or (isinstance(value, str) and value != ""),
)
PATH = ValueType(
    "a list of samples, by number or as seed:N, such as [3,17,40], or null",
    lambda value: (
        value is None or (bool(value) and is_list_of(lambda one: INDEX.admits(one) or isinstance(one, str), value))
    ),
    largest_hint,
)
CLASSES = ValueType("a class, a list of classes such as [3,7], or null", are_classes, largest_hint)
PRECISION = ValueType(
    "a precision such as auto, 32-true, bf16-mixed or 64-true",
    lambda value: isinstance(value, str) or COUNT.admits(value),
    largest_hint,
)
ROOT = ValueType(
    "a string, a list of strings such as [A,B], or null",
    lambda value: TEXT.admits(value) or (bool(value) and is_list_of(NAME.admits, value)),
    quoting_hint,
)

OPTIMIZER = {  # settings of torch's optimizers
    "lr": number(above=0),
    "betas": BETAS,
    "weight_decay": number(least=0),
    "momentum": number(least=0),
    "alpha": SHARE,
    "fused": FLAG_OR_NULL,
    "foreach": FLAG_OR_NULL,
}


def format_setting_value(value: Any) -> str:
    """Return the value in the notation of the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, ListConfig | list):
        return f"[{','.join(map(format_setting_value, value))}]"
    return str(value)

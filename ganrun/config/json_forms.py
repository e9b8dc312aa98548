"""What ganrun's own JSON files may hold, and reading them: a stranger may have put anything there."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganrun.files import parse_json, read_bytes

PLAIN_NAME = re.compile(r"[^./\\][^/\\]*")
LARGEST = 1e150
MAX_THREADS = 1024
MAX_SETTINGS, MAX_DEPTH = 20_000, 50  # values in a config, and how deeply they are nested
MAX_NAME = 200  # bytes of a file name; file systems allow 255, and a temporary file gets a longer one


def read_form(path: Path, limit: int, form: Any) -> Any:
    """Return what a JSON file of at most `limit` bytes holds, if it has this form.

    Raises ValueError if it is damaged or has another form, UnsafeFileError for anything but a regular file, OSError.
    """
    return parse_form(read_bytes(path, limit, follow_links=True), form)


def parse_form(text: str | bytes, form: Any) -> Any:
    """Return what a JSON text holds, if it has this form. Raises ValueError if not."""
    content = parse_json(text)
    if (key := find_wrong_entry(content, form)) is not None:
        raise ValueError(f"{key or 'the whole'} is not what ganrun writes there")
    return content


def find_wrong_entry(value: Any, form: Any) -> str | None:
    """Return the key, such as best.kimg, of the first entry that does not fit the form; None if all fit.

    form: a function that says whether a value fits; or [form] for a list; or {key: form} for a dict, in which
    keys may be absent, and the key `str` stands for all others.
    """
    if callable(form):
        return None if form(value) else ""
    if not isinstance(value, type(form)):
        return ""
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        rule = form.get(name, form.get(str, is_anything)) if isinstance(form, dict) else form[0]
        if (wrong := find_wrong_entry(item, rule)) is not None:
            return f"{name}.{wrong}".rstrip(".")
    return None


def is_anything(value: Any) -> bool:
    return True


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_plain(value: Any) -> bool:
    """Whether it is a text, a number, true, false or null."""
    return value is None or isinstance(value, bool) or is_text(value) or is_number(value)


def is_shallow(value: Any, depth: int = 5) -> bool:
    """Whether it is plain, or a list or dict of such values, within at most `depth` others."""
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(is_shallow(item, depth - 1) for item in items)
    return is_plain(value)


def is_config(value: Any) -> bool:
    """Whether it is a dict of plain values, dicts and lists, of a size that configs have."""
    return isinstance(value, dict) and is_shallow(value, MAX_DEPTH) and count_values(value) <= MAX_SETTINGS


def count_values(value: Any) -> int:
    """Return how many values nested dicts and lists hold, those themselves included."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_values, items))


def is_number(value: Any) -> bool:
    """Whether it is an integer of at most 64 bits, NaN, infinite, or a number whose square is not: a loss, a score."""
    return is_integer(value) or (isinstance(value, float) and not LARGEST < abs(value) < math.inf)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_count(value: Any) -> bool:
    """Whether it is an integer, 0 or more."""
    return is_integer(value) and value >= 0


def is_thread_count(value: Any) -> bool:
    """Whether it is a number of CPU threads that PyTorch can be told to use."""
    return is_integer(value) and 1 <= value <= MAX_THREADS


def is_amount(value: Any) -> bool:
    """Whether it is 0 or more, and no more than a count of images, bytes or seconds can be."""
    return is_number(value) and 0 <= value < 1e12


def is_plain_name(value: Any) -> bool:
    """Whether it is the name of a file or folder, without a path, that is not hidden and can be printed."""
    is_short_text = isinstance(value, str) and value.isprintable() and len(value.encode()) <= MAX_NAME
    return is_short_text and PLAIN_NAME.fullmatch(value) is not None


def optional(form: Any) -> Any:
    """Return the form that also accepts None."""
    return lambda value: value is None or find_wrong_entry(value, form) is None


def flatten_settings(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"a.b": 1} for {"a": {"b": 1}}; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten_settings(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def nan_for_null(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return numbers as they were before `files.to_json` wrote them: null is NaN."""
    return {name: math.nan if value is None else value for name, value in numbers.items()}

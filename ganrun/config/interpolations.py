"""Interpolations in configs that were saved, perhaps by a stranger: they may name other keys, and nothing else.

Others call a resolver, such as ${oc.env:HOME}. Those of the user's own command line and configs are resolved by Hydra.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.config.renames import iterate_values

KEY = re.compile(r"\$\{\s*([\w.\[\]]+)\s*\}")  # of another key: ${data.size}
ESCAPED = re.compile(r"(?<!\\)(\\\\)*\\\$\{")  # a text, no interpolation: an odd number of backslashes
SHAPE = re.compile(r"\$\{(image|packed)_shape:[\d\s,\[\]]*\}")  # ganrun's own, of numbers and, before, of keys
START = re.compile(r"(\\*)\$\{")
MAX_SIZE = 2**20  # characters and values of a resolved config; ganrun's own have some thousand


def calls_resolver(value: Any) -> bool:
    """Return whether resolving this value does more than read other keys and join them to the shape of images."""
    return isinstance(value, str) and "${" in SHAPE.sub("", KEY.sub("", ESCAPED.sub("", value)))


def resolver_calls(content: Any) -> Iterator[tuple[str, str]]:
    """Yield the values of nested dicts and lists that call a resolver, with their dotted keys."""
    return ((key, value) for key, value in iterate_values(content) if calls_resolver(value))


def without_resolvers(content: Any, own: Collection[str] = ()) -> DictConfig:
    """Return nested dicts as a config; values that call a resolver, except those in `own`, become plain texts."""
    return DictConfig(
        map_strings(content, lambda text: as_text(text) if calls_resolver(text) and text not in own else text)
    )


def as_text(value: str) -> str:
    """Return the value with its interpolations escaped: it resolves to the text that it is."""
    return START.sub(lambda match: match[0] if len(match[1]) % 2 else match[1] + r"\${", value)


def resolved_copy(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved config as nested dicts which, loaded as a config again, have the same values."""
    return map_strings(OmegaConf.to_container(cfg, resolve=True), quote_text)


def quote_text(text: str) -> str:
    """Return the value of a config that means this text, whatever it holds."""
    return START.sub(r"\1\1\\${", text)


def map_strings(node: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of nested dicts and lists whose strings are changed."""
    if isinstance(node, dict):
        return {key: map_strings(value, change) for key, value in node.items()}
    if isinstance(node, list):
        return [map_strings(value, change) for value in node]
    return change(node) if isinstance(node, str) else node


def fill_in_keys(content: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of nested dicts with the values of keys for texts such as ${data.size}, as a run's config has them.

    Other interpolations stay. OmegaConf resolves all of them, and takes 20 ms for the config of a run.
    """
    values = dict(iterate_values(content))

    def value_of(text: str) -> Any:
        match = KEY.fullmatch(text)
        return values.get(match[1], text) if match else text

    return map_strings(content, value_of)


def check_size(content: Any) -> None:
    """Raise ValueError if the content is too large when resolved: ten values that each name the next twice make 1,024.

    content: nested dicts and lists whose interpolations all name keys.
    """
    known: dict[tuple, int] = {}

    def measure_target(path: tuple) -> int:
        if path not in known:
            known[path] = 0  # of a cycle, which OmegaConf refuses
            known[path] = measure(find_node(content, path), path)
        return known[path]

    def measure(node: Any, path: tuple) -> int:
        if isinstance(node, str):
            return len(node) + sum(measure_target(target_path(match[1], path)) for match in KEY.finditer(node))
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        return 1 + sum(measure(value, (*path, str(name))) for name, value in items)

    try:
        size = measure(content, ())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if size > MAX_SIZE:
        raise ValueError("it is too large when its interpolations are resolved")


def find_node(content: Any, path: tuple) -> Any:
    """Return what nested dicts and lists hold at a path of names and indices; None if nothing."""
    for name in path:
        if isinstance(content, list):
            content = content[int(name)] if name.isdecimal() and int(name) < len(content) else None
        else:
            content = content.get(name) if isinstance(content, dict) else None
    return content


def target_path(key: str, path: tuple) -> tuple:
    """Return the path that the interpolation of a key means: .a is beside the node at `path`, ..a one level above."""
    plain = key.lstrip(".")
    dots = len(key) - len(plain)
    above = path[: max(0, len(path) - dots)] if dots else ()
    return (*above, *(name for name in re.split(r"[.\[\]]+", plain) if name))

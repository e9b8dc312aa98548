"""At which points a setting varies: `model.c if model==wgan and model.n_critic>1`, texts of the config."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from ganrun.errors import UserError

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
COMPARISON = re.compile(r"\s*(?P<key>[\w./@-]+)\s*(?P<sign>==|!=|>=|<=|>|<)\s*(?P<value>[^=<>!]+?)\s*")


@dataclass(frozen=True)
class Condition:
    """Comparisons of settings with values, all of which are to hold: (key, sign, value)."""

    text: str
    parts: tuple[tuple[str, str, Any], ...]

    @classmethod
    def read(cls, text: str) -> "Condition":
        found = [COMPARISON.fullmatch(part) for part in re.split(r"\sand\s", text)]
        if not all(found):
            raise UserError(
                f"{text!r} is no condition. It is KEY SIGN VALUE, as in model.n_critic>1, several joined by and; SIGN "
                f"is one of {', '.join(OPERATORS)}."
            )
        if "seed" in (part["key"] for part in found):
            raise UserError(f"{text!r} goes by the seed, which is no part of a point: each is trained with every seed.")
        return cls(text, tuple((part["key"], part["sign"], parse_value(part["value"], text)) for part in found))

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.parts]

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        """Whether it does where a key has the value that value_of tells; None is neither more nor less than anything.

        Raises UserError for values of different kinds.
        """
        return all(self._compare(key, value_of(key), sign, value) for key, sign, value in self.parts)

    def _compare(self, key: str, found: Any, sign: str, value: Any) -> bool:
        if found is None and sign not in ("==", "!="):
            return False
        try:
            return OPERATORS[sign](found, value)
        except TypeError as error:
            told = f"{self.text}: {key} is {found}, which is neither more nor less than {value}."
            raise UserError(told) from error


def parse_value(word: str, text: str) -> Any:
    """The value that a word of the condition `text` stands for."""
    try:
        (override,) = OverridesParser.create().parse_overrides([f"value={word}"])
    except OverrideParseException as error:
        raise UserError(f"{word!r} in the condition {text!r} cannot be read.") from error
    if override.is_sweep_override():
        raise UserError(f"{word!r} in the condition {text!r} is several values, and it takes one.")
    return override.value()


def parse_conditions(texts: str | Iterable[str]) -> dict[str, Condition]:
    """The condition of each setting that has one, of a text such as "model.c if model==wgan" or of several."""
    found: dict[str, str] = {}
    for text in [texts] if isinstance(texts, str) else texts:
        key, word, condition = text.partition(" if ")
        if not word:
            raise UserError(f"sweep.only: {text!r} lacks a condition. It is SETTING if KEY SIGN VALUE.")
        found[key.strip()] = f"{found[key.strip()]} and {condition}" if key.strip() in found else condition
    return {key: Condition.read(condition) for key, condition in found.items()}


@dataclass
class ConfigCache:
    """The settings of a sweep's points, as their configs have them.

    compose: the config of the values of a point, as words.
    """

    compose: Callable[[Mapping[str, str]], DictConfig]
    known: dict[tuple, DictConfig] = field(default_factory=dict)

    def config(self, values: Mapping[str, str]) -> DictConfig:
        point = tuple(values.items())
        if point not in self.known:
            self.known[point] = self.compose(values)
        return self.known[point]

    def value(self, key: str, values: Mapping[str, str]) -> Any:
        """What a setting is at a point: the choice where it is one of a group, such as model, or its value.

        None where that point has no such setting.
        """
        config = self.config(values)
        choices = config.hydra.runtime.choices
        return choices[key] if key in choices else OmegaConf.select(config, key)

    def has(self, key: str, values: Mapping[str, str]) -> bool:
        """Whether the point has such a setting, be it null."""
        config = self.config(values)
        above, _, last = key.rpartition(".")
        parent = OmegaConf.select(config, above) if above else config
        return key in config.hydra.runtime.choices or (OmegaConf.is_dict(parent) and last in parent)

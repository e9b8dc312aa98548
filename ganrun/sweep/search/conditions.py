"""Conditional parameters: `model.c if model==wgan and model.n_critic>1` varies only where the condition holds."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf, read_write

from ganrun.config.rename_table import SETTINGS
from ganrun.errors import UserError

OPERATORS = {"==": eq, "!=": ne, ">=": ge, "<=": le, ">": gt, "<": lt}
COMPARISON = re.compile(r"\s*(?P<key>[\w./@-]+)\s*(?P<operator>==|!=|>=|<=|>|<)\s*(?P<value>[^=<>!]+?)\s*")


@dataclass(frozen=True)
class Condition:
    """Comparisons of settings with values, (key, operator, value), all of which must hold."""

    text: str
    comparisons: tuple[tuple[str, str, Any], ...]

    @classmethod
    def parse(cls, text: str) -> "Condition":
        comparisons = []
        for part in re.split(r"\sand\s", text):
            match = COMPARISON.fullmatch(part)
            if not match:
                raise UserError(
                    f"sweep.only: {text!r} is not a condition. Write KEY OPERATOR VALUE, such as model.n_critic>1, and "
                    f"join several by and; OPERATOR is one of {', '.join(OPERATORS)}."
                )
            if match["key"] == "seed":
                raise UserError(
                    f"sweep.only: {text!r} depends on the seed, but every point is trained with every seed. Use "
                    "another setting."
                )
            comparisons.append((match["key"], match["operator"], parse_value(match["value"], text)))
        return cls(text, tuple(comparisons))

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.comparisons]

    def holds(self, value_of: Callable[[str], Any]) -> bool:
        """Return whether the condition holds. None is neither less nor greater. UserError if values have no order."""
        return all(self._compare(key, value_of(key), sign, value) for key, sign, value in self.comparisons)

    def _compare(self, key: str, actual: Any, sign: str, value: Any) -> bool:
        if actual is None and sign not in ("==", "!="):
            return False
        try:
            return OPERATORS[sign](actual, value)
        except TypeError as error:
            raise UserError(
                f"sweep.only: {self.text!r} compares {key}={actual} with {value}, which have no order. Use == or !=."
            ) from error


def parse_value(text: str, condition: str) -> Any:
    """Return the value of an override's text in a condition."""
    try:
        (override,) = OverridesParser.create().parse_overrides([f"value={text}"])
    except OverrideParseException as error:
        raise UserError(f"sweep.only: {text!r} in the condition {condition!r} cannot be parsed.") from error
    if override.is_sweep_override():
        raise UserError(f"sweep.only: {text!r} in the condition {condition!r} is several values; give one.")
    return override.value()


def parse_conditions(texts: str | Iterable[str]) -> dict[str, Condition]:
    """Return {setting: condition} of one text such as "model.c if model==wgan", or of several."""
    conditions: dict[str, str] = {}
    for text in [texts] if isinstance(texts, str) else texts:
        setting, separator, condition = text.partition(" if ")
        key = setting.strip()
        if not separator:
            raise UserError(f"sweep.only: {text!r} has no condition. Write SETTING if KEY OPERATOR VALUE.")
        conditions[key] = f"{conditions[key]} and {condition}" if key in conditions else condition
    return {key: Condition.parse(condition) for key, condition in conditions.items()}


def copy_with(config: DictConfig, plain: Mapping[str, Any], texts: Mapping[str, str]) -> DictConfig:
    """Return a copy of a point's config with other values of settings. texts: the values as in overrides."""
    copy = config.copy()
    given = {key if has_key(config, key) else SETTINGS.get(key, key): key for key in plain}  # its name today: as given
    for key, name in given.items():
        OmegaConf.update(copy, key, plain[name])
    task = copy.hydra.overrides.task
    with read_write(task):
        for i, override in enumerate(task):
            key = override.partition("=")[0]
            task[i] = f"{key}={texts[given[key]]}" if key in given else override
    return copy


@dataclass
class ConfigCache:
    """The configs of a sweep's points.

    compose: returns the config of a point's values, in a tenth of a second.  is_group: whether a key is a config group.
    """

    compose: Callable[[Mapping[str, str]], DictConfig]
    is_group: Callable[[str], bool] = lambda key: True
    known: dict[tuple, DictConfig] = field(default_factory=dict)
    similar: dict[tuple, DictConfig] = field(default_factory=dict)  # by the values that only composing can set

    def config(self, values: Mapping[str, str]) -> DictConfig:
        """Return the config of a point; of points that differ in plain values alone, only the first is composed."""
        point = tuple(values.items())
        if point not in self.known:
            plain = {key: value for key, text in values.items() if (value := self._plain_value(key, text)) is not None}
            kind = tuple((key, None if key in plain else text) for key, text in values.items())
            if kind in self.similar:
                self.known[point] = copy_with(self.similar[kind], plain, values)
            else:
                self.similar[kind] = self.known[point] = self.compose(values)
        return self.known[point]

    def _plain_value(self, key: str, text: str) -> Any:
        """Return the value if it is a number, text or flag of a setting, and the setting is not a config group."""
        if not re.fullmatch(r"[\w.]+", key) or self.is_group(key):
            return None
        value = OverridesParser.create().parse_override(f"{key}={text}").value()
        return value if isinstance(value, int | float | str) else None

    def value(self, key: str, values: Mapping[str, str]) -> Any:
        """Return a setting of a point: the choice if it is a config group, such as model; None if it has none."""
        config = self.config(values)
        choices = config.hydra.runtime.choices
        key = key if has_key(config, key) else SETTINGS.get(key, key)
        return choices[key] if key in choices else OmegaConf.select(config, key)

    def has(self, key: str, values: Mapping[str, str]) -> bool:
        """Return whether the point has this setting, even if it is null, or one that had this name before."""
        config = self.config(values)
        return has_key(config, key) or has_key(config, SETTINGS.get(key, key))


def has_key(config: DictConfig, key: str) -> bool:
    """Return whether the key is a config group or a setting of the config."""
    above, _, last = key.rpartition(".")
    parent = OmegaConf.select(config, above) if above else config
    return key in config.hydra.runtime.choices or (OmegaConf.is_dict(parent) and last in parent)

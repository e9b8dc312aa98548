"""What a sweep varies: the overrides of the command line that list several values, and the seeds."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import prod
from random import Random
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig

from ganrun.errors import UserError
from ganrun.sweep.search.conditions import Condition, ConfigCache, parse_conditions

log = logging.getLogger(__name__)
MAX_POINTS = 100_000  # values of a setting, seeds or points of a grid; each point has its entry in sweep.json
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Axis:
    """A setting that varies, by a list of values or over an interval, both ends included."""

    key: str
    values: tuple[str, ...] = ()  # as in an override; empty for an interval
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False  # sampled uniformly in its logarithm: tag(log, interval(1e-5, 1e-2))
    is_whole: bool = False  # integers only: int(interval(1, 5))
    condition: Condition | None = None  # where it varies, None: everywhere; elsewhere the setting keeps its default

    @property
    def is_continuous(self) -> bool:
        return not self.values

    def contains(self, value: str) -> bool:
        """Return whether this is a value of the axis, as text."""
        if self.values:
            return value in self.values
        return bool(NUMBER.fullmatch(value)) and self.low <= float(value) <= self.high


@dataclass
class SearchSpace:
    """The overrides that all points share, the axes, and the seeds that every point is trained with."""

    fixed: list[str] = field(default_factory=list)
    axes: list[Axis] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    configs: ConfigCache = field(default_factory=lambda: ConfigCache(lambda values: DictConfig({})))  # of the points

    def varies(self, axis: Axis, values: Mapping[str, str]) -> bool:
        """Return whether a point with these values of earlier axes has a value of this axis."""
        return axis.condition is None or axis.condition.holds(lambda key: self.configs.value(key, values))

    def grid(self) -> list[dict[str, str]]:
        """Return every combination of values; the last axis changes fastest. Raises UserError for an interval."""
        points: list[dict[str, str]] = [{}]
        if (count := prod(len(axis.values) or 1 for axis in self.axes)) > MAX_POINTS:
            raise UserError(
                f"The grid has up to {count:,} points, more than the {MAX_POINTS:,} that a sweep can train. List fewer "
                "values, or try some of the points: sweep=random with sweep.trials=."
            )
        for axis in self.axes:
            if axis.is_continuous:
                raise UserError(
                    f"{axis.key} is an interval, which a grid cannot enumerate. List its values, {axis.key}=a,b,c, or "
                    "search it: sweep=tpe or sweep=random, with sweep.trials=."
                )
            varying = [self.varies(axis, point) for point in points]
            if axis.condition and not any(varying):
                raise UserError(
                    f"{axis.key} never varies: its condition in sweep.only ({axis.condition.text}) never holds."
                )
            points = [
                new
                for point, varies in zip(points, varying, strict=True)
                for new in ([{**point, axis.key: value} for value in axis.values] if varies else [point])
            ]
        return points


def parse_space(overrides: Sequence[str], config_loader, settings: DictConfig, first_seed: int) -> SearchSpace:
    """Return the search space of a command's overrides, with the axes, conditions and seeds of the sweep's settings.

    The command line may override axes of sweep.space. There are sweep.seeds seeds from first_seed on, unless seed=
    lists them.
    """
    space, seeds = SearchSpace(), settings.seeds
    listed: list[int] = []
    parser = OverridesParser.create(config_loader=config_loader)
    named = {override.get_key_element() for override in parser.parse_overrides([*overrides])}
    added = [f"{key}={distribution}" for key, distribution in (settings.space or {}).items() if key not in named]
    for override in parser.parse_overrides([*overrides, *added]):
        key = override.get_key_element()
        if key == "seed" and override.is_sweep_override():
            listed = parse_seeds(override)
        elif override.is_sweep_override() and key.split(".")[0] in ("folder", "sweep"):
            raise UserError(f"{override.input_line} cannot vary: it belongs to the sweep as a whole. Give one value.")
        elif override.is_sweep_override():
            space.axes.append(parse_axis(override))
        elif key.lstrip("+").split(".")[0] not in ("sweep", "seed", "folder"):
            space.fixed.append(override.input_line or "")
    if listed and seeds and "sweep.seeds" in named:
        raise UserError(f"seed= lists {len(listed)} seeds, but sweep.seeds={seeds}. Give only one of them.")
    space.seeds = listed or list(range(first_seed, first_seed + (seeds or 1)))
    space.axes = attach_conditions(space.axes, parse_conditions(settings.only))
    return space


def attach_conditions(axes: Sequence[Axis], conditions: Mapping[str, Condition]) -> list[Axis]:
    """Return the axes, conditional ones last. Raises UserError if a condition depends on an axis after its own."""
    if unknown := set(conditions) - {axis.key for axis in axes}:
        raise UserError(f"sweep.only has a condition for {min(unknown)}, which does not vary.")
    free = [axis for axis in axes if axis.key not in conditions]
    conditional = [axis for axis in axes if axis.key in conditions]
    for i, axis in enumerate(conditional):
        if late := {later.key for later in conditional[i:]} & set(conditions[axis.key].keys):
            raise UserError(f"sweep.only: {axis.key} depends on {min(late)}, which must come before it.")
    return [*free, *(replace(axis, condition=conditions[axis.key]) for axis in conditional)]


def parse_seeds(override: Override) -> list[int]:
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: seeds cannot be searched. List them, seed=1,2,3, or count them, sweep.seeds=3."
        )
    try:
        return [int(value) for value in distinct_values("seed", list_values(override))]
    except ValueError as error:
        raise UserError(f"{override.input_line}: seeds must be integers, such as seed=1,2,3.") from error


def parse_axis(override: Override) -> Axis:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        is_whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Axis(key, low=value.start, high=value.end, is_log="log" in value.tags, is_whole=is_whole)
    if isinstance(value, ChoiceSweep | RangeSweep) and value.shuffle:  # the same order at every start of the sweep
        value.shuffle = False
        values = sorted(distinct_values(key, list_values(override)))
        return Axis(key, tuple(Random(key).sample(values, len(values))))
    return Axis(key, distinct_values(key, list_values(override)))


def list_values(override: Override) -> list[str]:
    """Return the values that an override lists. Raises UserError for more than a sweep can have."""
    values = [*islice(override.sweep_string_iterator(), MAX_POINTS + 1)]
    if len(values) > MAX_POINTS:
        raise UserError(f"{override.input_line} has more than {MAX_POINTS:,} values, the most that a sweep can train.")
    return values


def distinct_values(key: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an axis without those that equal an earlier one: 0.0001 after 1e-4. Says which are left out.

    A point is trained once; the seed, not a second training of the same point, tells how far scores vary.
    """
    parser, distinct = OverridesParser.create(), {}
    for text in texts:
        value = comparable(parser.parse_override(f"{key}={text}").value())
        if value in distinct:
            log.info("%s=%s and %s=%s are the same: trained once", key, distinct[value], key, text)
        else:
            distinct[value] = text
    return tuple(distinct.values())


def comparable(value: Any) -> Any:
    """Return what is equal for equal values of an override: for 1 and 1.0, but not for 1, true and a quoted '1'."""
    if isinstance(value, dict):
        return ("dict", *((name, comparable(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("list", *map(comparable, value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", value if value == value else "nan"
    return type(value).__name__, value

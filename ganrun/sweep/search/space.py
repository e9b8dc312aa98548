"""What a sweep varies: the settings of the command line that stand for several values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from ganrun.errors import UserError
from ganrun.sweep.search import conditions
from ganrun.sweep.search.conditions import Condition, ConfigCache


@dataclass(frozen=True)
class Axis:
    """One setting that varies.

    key: as on the command line.  values: its values, as Hydra's words; none where it is an interval.
    low, high: of an interval.  is_log: drawn by orders of magnitude, tag(log, interval(1e-5, 1e-2)).
    is_whole: whole numbers alone, int(interval(1, 5)).  only: at which points it varies, None: at all; elsewhere it is
    left as it is.
    """

    key: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False
    only: Condition | None = None

    @property
    def is_continuous(self) -> bool:
        return not self.values


@dataclass
class SearchSpace:
    """The fixed words of a command, the axes of its sweep, and the seeds that every point is trained with.

    composed: by which conditions are decided; needed where there are any.
    """

    fixed: list[str] = field(default_factory=list)
    axes: list[Axis] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    composed: ConfigCache | None = None

    def varies(self, axis: Axis, values: Mapping[str, str]) -> bool:
        """Whether a point that has these values so far has one of this axis."""
        return axis.only is None or axis.only.holds(lambda key: self.composed.value(key, values))

    def grid(self) -> list[dict[str, str]]:
        """Every combination of the axes' values, the last axis changing fastest."""
        points: list[dict[str, str]] = [{}]
        for axis in self.axes:
            if axis.is_continuous:
                raise UserError(
                    f"{axis.key} is an interval, which no grid has. List its values ({axis.key}=a,b,c), or let them be "
                    "searched: sweep=tpe or sweep=random, and sweep.trials=."
                )
            varying = [self.varies(axis, point) for point in points]
            if not any(varying):
                raise UserError(f"{axis.key} never varies: {axis.only.text}, its condition in sweep.only, never holds.")
            points = [
                new
                for point, varies in zip(points, varying, strict=True)
                for new in ([{**point, axis.key: value} for value in axis.values] if varies else [point])
            ]
        return points


def parse_space(
    words: Sequence[str],
    config_loader,
    seeds: int | None,
    first_seed: int,
    more: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
) -> SearchSpace:
    """The space of these overrides and of those `more` settings that they do not name.

    seeds: sweep.seeds, so many from first_seed on; a list given as seed= takes their place.
    only: conditions under which settings vary, as sweep.only has them; these come after all others.
    """
    space = SearchSpace()
    listed: list[int] = []
    parser = OverridesParser.create(config_loader=config_loader)
    named = {override.get_key_element() for override in parser.parse_overrides([*words])}
    words = [*words, *(f"{key}={law}" for key, law in (more or {}).items() if key not in named)]
    for override in parser.parse_overrides(words):
        key = override.get_key_element()
        if key == "seed" and override.is_sweep_override():
            listed = parse_seeds(override)
        elif override.is_sweep_override() and key.split(".")[0] in ("folder", "sweep"):
            raise UserError(f"{override.input_line} cannot vary: it is of the sweep, not of its trainings.")
        elif override.is_sweep_override():
            space.axes.append(parse_axis(override))
        elif key.lstrip("+").split(".")[0] not in ("sweep", "seed", "folder"):
            space.fixed.append(override.input_line)
    if listed and seeds and "sweep.seeds" in named:
        raise UserError(f"seed= lists {len(listed)} seeds and sweep.seeds={seeds} asks for {seeds}: give one of them.")
    space.seeds = listed or list(range(first_seed, first_seed + (seeds or 1)))
    space.axes = attach_conditions(space.axes, conditions.parse_conditions(only))
    return space


def attach_conditions(axes: Sequence[Axis], only: Mapping[str, Condition]) -> list[Axis]:
    """The axes with their conditions, in an order in which each condition goes by what comes before it."""
    free = [axis for axis in axes if axis.key not in only]
    bound = [replace(axis, only=only[axis.key]) for axis in axes if axis.key in only]
    if lost := set(only) - {axis.key for axis in axes}:
        raise UserError(f"sweep.only has a condition for {min(lost)}, which does not vary.")
    for i, axis in enumerate(bound):
        if late := {later.key for later in bound[i:]} & set(axis.only.keys):
            raise UserError(f"sweep.only: {axis.key} goes by {min(late)}, which is to stand before it.")
    return [*free, *bound]


def parse_seeds(override: Override) -> list[int]:
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a seed is never searched for. List seeds: seed=1,2,3, or sweep.seeds=3."
        )
    try:
        return [int(value) for value in override.sweep_string_iterator()]
    except ValueError as error:
        raise UserError(f"{override.input_line} does not do: seeds are whole numbers.") from error


def parse_axis(override: Override) -> Axis:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        is_whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Axis(key, low=value.start, high=value.end, is_log="log" in value.tags, is_whole=is_whole)
    if getattr(value, "shuffle", False):  # the same order each time, so that a sweep finds its points again
        value.shuffle = False
        words = sorted(override.sweep_string_iterator())
        return Axis(key, tuple(Random(key).sample(words, len(words))))
    return Axis(key, tuple(override.sweep_string_iterator()))

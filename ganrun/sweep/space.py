"""What a sweep varies: the settings of the command line that stand for several values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from ganrun.errors import UserError


@dataclass(frozen=True)
class Axis:
    """One setting that varies.

    key: as on the command line.  values: its values, as Hydra's words; none where it is an interval.
    low, high: of an interval.  is_log: drawn by orders of magnitude, tag(log, interval(1e-5, 1e-2)).
    is_whole: whole numbers alone, int(interval(1, 5)).
    """

    key: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    @property
    def is_continuous(self) -> bool:
        return not self.values


@dataclass
class Space:
    """The fixed words of a command, the axes of its sweep, and the seeds that every point is trained with."""

    fixed: list[str] = field(default_factory=list)
    axes: list[Axis] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    def grid(self) -> list[dict[str, str]]:
        """Every combination of the axes' values, the last axis changing fastest."""
        for axis in self.axes:
            if axis.is_continuous:
                raise UserError(
                    f"{axis.key} is an interval, which no grid has. List its values ({axis.key}=a,b,c), or let them be "
                    "searched: sweep=tpe or sweep=random, and sweep.trials=."
                )
        keys = [axis.key for axis in self.axes]
        return [dict(zip(keys, values, strict=True)) for values in product(*(axis.values for axis in self.axes))]


def read(
    words: Sequence[str], config_loader, seeds: int | None, first_seed: int, more: Mapping[str, str] | None = None
) -> Space:
    """The space of these overrides and of those `more` settings that they do not name.

    seeds: sweep.seeds, so many from first_seed on; a list given as seed= takes their place.
    """
    space = Space()
    listed: list[int] = []
    parser = OverridesParser.create(config_loader=config_loader)
    named = {override.get_key_element() for override in parser.parse_overrides([*words])}
    words = [*words, *(f"{key}={law}" for key, law in (more or {}).items() if key not in named)]
    for override in parser.parse_overrides(words):
        key = override.get_key_element()
        if key == "seed" and override.is_sweep_override():
            listed = whole_seeds(override)
        elif override.is_sweep_override() and key.split(".")[0] in ("folder", "sweep"):
            raise UserError(f"{override.input_line} cannot vary: it is of the sweep, not of its trainings.")
        elif override.is_sweep_override():
            space.axes.append(axis_of(override))
        elif key.split(".")[0] not in ("sweep", "seed", "folder") or key.startswith("+"):
            space.fixed.append(override.input_line)
    if listed and seeds and "sweep.seeds" in named:
        raise UserError(f"seed= lists {len(listed)} seeds and sweep.seeds={seeds} asks for {seeds}: give one of them.")
    space.seeds = listed or list(range(first_seed, first_seed + (seeds or 1)))
    return space


def whole_seeds(override: Override) -> list[int]:
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: a seed is never searched for. List seeds: seed=1,2,3, or sweep.seeds=3."
        )
    try:
        return [int(value) for value in override.sweep_string_iterator()]
    except ValueError as error:
        raise UserError(f"{override.input_line} does not do: seeds are whole numbers.") from error


def axis_of(override: Override) -> Axis:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep):
        is_whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Axis(key, low=value.start, high=value.end, is_log="log" in value.tags, is_whole=is_whole)
    return Axis(key, tuple(override.sweep_string_iterator()))

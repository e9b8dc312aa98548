"""Names of sweep jobs: which overrides are swept, and a folder name made of them."""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser

MAX_NAME_LENGTH = 120


def fixed_keys(overrides: list[str]) -> set[str]:
    """The keys that all jobs share: those overrides of the command line that are no sweep."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element() for override in parsed if not override.is_sweep_override()}


def swept_values(job_overrides: list[str], fixed: set[str]) -> dict[str, str]:
    """What this job has of its own: {key: value}."""
    pairs = (override.partition("=")[::2] for override in job_overrides)
    return {key: value for key, value in pairs if key not in fixed}


def format_job_name(number: int, values: dict[str, str]) -> str:
    """A folder name without `=`, `,` or `/`, such as 3-lr-0.0002+seed-1: the job's number and its own values."""
    pairs = [f"{name}-{slug(value)}" for name, value in zip(short_keys(values), values.values(), strict=True)]
    return "-".join([str(number), "+".join(pairs)] if pairs else [str(number)])[:MAX_NAME_LENGTH]


def short_keys(keys: Iterable[str]) -> list[str]:
    """The keys' last parts, betas.0 among them, or the whole keys where two would be the same."""
    keys = [key.lstrip("+~") for key in keys]
    last = [re.search(r"[^.]*(\.\d+)?$", key)[0] for key in keys]
    return [slug(short if last.count(short) == 1 else key) for key, short in zip(keys, last, strict=True)]


def slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text.strip("'\"[]{}()")).strip("_")


def format_value(value: str) -> str:
    """A value for a name or a table: a number of many digits with four."""
    try:
        return value if len(value) < 8 else f"{float(value):.4g}"
    except ValueError:
        return value

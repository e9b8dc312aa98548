"""Names of sweep jobs: which overrides are swept, and a folder name made from them."""

import re
from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser

MAX_NAME_LENGTH = 120


def fixed_keys(overrides: list[str]) -> set[str]:
    """Return the keys of the overrides that are not swept, and that all jobs therefore share."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element() for override in parsed if not override.is_sweep_override()}


def swept_values(job_overrides: list[str], fixed: set[str]) -> dict[str, str]:
    """Return {key: value} of the overrides that distinguish this job."""
    pairs = (override.partition("=")[::2] for override in job_overrides)
    return {key: value for key, value in pairs if key not in fixed}


def format_job_name(number: int, values: dict[str, str]) -> str:
    """Return a folder name without `=`, `,` or `/`, such as 3-lr-0.0002+seed-1: number and swept values of a job."""
    pairs = [f"{name}-{slug(value)}" for name, value in zip(short_keys(values), values.values(), strict=True)]
    return "-".join([str(number), "+".join(pairs)] if pairs else [str(number)])[:MAX_NAME_LENGTH]


def short_keys(keys: Iterable[str]) -> list[str]:
    """Return the last part of each key (betas.0 counts as one part), or the whole key if two would be equal."""
    keys = [key.lstrip("+~") for key in keys]
    last = [re.findall(r"[^.]*(?:\.\d+)?$", key)[0] for key in keys]
    return [slug(short if last.count(short) == 1 else key) for key, short in zip(keys, last, strict=True)]


def slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text.strip("'\"[]{}()")).strip("_")


def format_value(value: str) -> str:
    """Return a value for a name or a table, with long numbers rounded to four digits."""
    try:
        return value if len(value) < 8 else f"{float(value):.4g}"
    except ValueError:
        return value

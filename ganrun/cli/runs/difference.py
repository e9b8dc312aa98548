"""How two runs differ: the settings, and the scores side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganrun.cli.runs.table import format_table
from ganrun.config import schema
from ganrun.config.json_forms import flatten_settings, is_number
from ganrun.errors import UserError, printable
from ganrun.metrics.scores.declarations import better_direction
from ganrun.training.run_folder import read_config, read_status

MISSING = "-"


def format_difference(folders: Sequence[Path]) -> str:
    """Return the settings and choices in which two runs differ, and their scores. UserError if one is unreadable."""
    statuses, configs = [read_status(folder) for folder in folders], [*map(read_settings, folders)]
    choices = [status.get("choices", {}) for status in statuses]
    rows = differing_rows(choices, lambda key: True) + differing_rows(configs, is_compared)
    lines = [f"{name}  {printable(folder)}" for name, folder in zip("AB", folders, strict=True)]
    lines += ["", *(format_columns("setting", rows) if rows else ["The settings are equal."])]
    if scores := score_rows(statuses):
        better = [better_direction(name.partition(" ")[0]) or "" for name, *_ in scores]
        lines += ["", *format_columns("score", scores, better)]
    return "\n".join(lines) + "\n"


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the config of a run as {dotted key: value}. Raises UserError if it cannot be read."""
    try:
        return flatten_settings(read_config(folder))
    except (OSError, ValueError) as error:
        raise UserError(f"The settings of {folder} are unknown: its config.yaml is missing or damaged.") from error


def is_compared(key: str) -> bool:
    """Return whether a setting makes another experiment, as the seed does, and the place of the run does not."""
    return key == "seed" or (not key.endswith("_target_") and schema.find_setting(key).is_compared)


def differing_rows(settings: Sequence[Mapping], is_shown: Callable[[str], bool]) -> list[list[str]]:
    """Return [key, value of the first, value of the second] of the keys whose values differ."""
    keys = dict.fromkeys(key for each in settings for key in each)
    shown = [[key, *(str(each.get(key, MISSING)) for each in settings)] for key in keys if is_shown(key)]
    rows = [row for row in shown if row[1] != row[2]]
    return [row for row in rows if not follows_optimizer(row, rows)]


def follows_optimizer(row: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a row is of a setting of one player that has the values of the optimizer of all."""
    group, _, rest = row[0].partition(".")
    return group == "optimizers" and [f"optimizer.{rest.rpartition('.')[2]}", *row[1:]] in rows


def score_rows(statuses: Sequence[Mapping]) -> list[list[str]]:
    """Return the best and the last value of each score in two runs, and how far, long and fast they were."""
    rows = []
    for role in ("best", "last"):
        scores = [status.get(role, {}) for status in statuses]
        for name in dict.fromkeys(name for each in scores for name in each):
            values = [each.get(name, math.nan) for each in scores]
            rows.append([f"{name} ({role})", *(f"{v:.4g}" if is_number(v) and v == v else MISSING for v in values)])
    for name in ("kimg", "seconds", "images_per_second"):
        rows.append([name, *(f"{status[name]:,.4g}" if name in status else MISSING for status in statuses)])
    return [row for row in rows if {*row[1:]} != {MISSING}]


def format_columns(title: str, rows: Sequence[Sequence[str]], better: Sequence[str] = ()) -> list[str]:
    """Return the lines of a table with a column for each run. better: which direction is, for each row."""
    table = dict(zip((title, "A", "B"), ([*map(printable, column)] for column in zip(*rows, strict=True)), strict=True))
    return format_table(table | ({"better": [*better]} if any(better) else {}))

"""The table of `ganrun runs`, as wide as the terminal, and the same as JSON."""

import math
import os
import platform
import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from rich.cells import cell_len

from ganrun.errors import printable
from ganrun.files import to_json
from ganrun.terminal import format_duration, round_bytes
from ganrun.training.runs.disk import DiskUse
from ganrun.training.runs.overview import RunOverview
from ganrun.training.runs.states import RunState

UNLIMITED = 100_000  # columns of an output that is no terminal
GAP = "  "
RIGHT = {"kimg", "images/s", "left", "disk"}  # columns of numbers
DROPPED_FIRST = ["images/s", "device", "disk", "left", "tags", "score"]  # where a terminal is too narrow for all


def format_progress(run: RunOverview) -> str:
    """Return how far a run is: "306/500", or "306" where its length is unknown or its end was not by kimg."""
    limit = run.kimg_limit if run.state != RunState.DONE else None
    return f"{run.kimg:.4g}" + (f"/{limit:g}" if limit else "")


def format_score(run: RunOverview) -> str:
    """Return the best score and its name, without what all names of scores have: "5.91 fd_lenet"."""
    return f"{run.score:.4g} {str(run.metric).removeprefix('val/')}" if not math.isnan(run.score) else ""


def format_left(run: RunOverview) -> str:
    return "" if math.isnan(run.seconds_left) else format_duration(run.seconds_left)


def format_device(run: RunOverview) -> str:
    """Return the device, and the machine if it is another one."""
    return " ".join(filter(None, [run.device, run.host if run.host != platform.node() else ""]))


COLUMNS: dict[str, Callable[[RunOverview], str]] = {
    "run": lambda run: str(run.folder),
    "state": lambda run: str(run.state),
    "kimg": format_progress,
    "score": format_score,
    "images/s": lambda run: f"{run.images_per_second:,.0f}" if run.images_per_second else "",
    "left": format_left,
    "device": format_device,
    "disk": lambda run: round_bytes(run.disk.total),
    "tags": lambda run: ",".join(run.tags),
}


def terminal_width() -> int:
    return shutil.get_terminal_size((UNLIMITED, 24)).columns


def format_runs(runs: Sequence[RunOverview], width: int) -> str:
    """Return the runs as a table that fits the width, with a line that sums up and one for each problem.

    Columns without content are left out. Where the width is too small, so are others, which a line names; the folder
    above all runs is named once; and at last each run takes two lines.
    """
    table = {name: [printable(form(run)) for run in runs] for name, form in COLUMNS.items()}
    table = {name: cells for name, cells in table.items() if any(cells)}
    above, dropped = "", []
    if table_width(table) > width:
        above, table["run"] = split_parent(table["run"])
    while table_width(table) > width and (name := next((n for n in DROPPED_FIRST if n in table), None)):
        dropped.append(name)
        del table[name]
    lines = [f"in {above}"] if above else []
    lines += format_table(table) if table_width(table) <= width else format_pairs(table)
    summary = sum_up(runs) + (f" (no room for {', '.join(dropped)}: --json has all)" if dropped else "")
    lines += ["", *textwrap.wrap(summary, width)]
    lines += [f"{name}: {run.problem}" for name, run in zip(table["run"], runs, strict=True) if run.problem]
    return "\n".join(lines) + "\n"


def column_widths(table: dict[str, list[str]]) -> dict[str, int]:
    return {name: max(map(cell_len, [name, *cells])) for name, cells in table.items()}


def table_width(table: dict[str, list[str]]) -> int:
    widths = column_widths(table).values()
    return sum(widths) + len(GAP) * (len(widths) - 1)


def format_table(table: dict[str, list[str]], right: Collection[str] = RIGHT) -> list[str]:
    """Return the lines of a table: the names of the columns, and its rows. right: columns aligned there."""
    widths = column_widths(table)
    rows = [[*table], *zip(*table.values(), strict=True)]
    return [
        GAP.join(pad(cell, widths[name], name in right) for name, cell in zip(table, row, strict=True)).rstrip()
        for row in rows
    ]


def pad(text: str, width: int, is_right: bool) -> str:
    """Fill a text with spaces. Characters of some languages are two columns wide."""
    spaces = " " * (width - cell_len(text))
    return spaces + text if is_right else text + spaces


def format_pairs(table: dict[str, list[str]]) -> list[str]:
    """Return two lines for each run: its folder, and the rest."""
    head, *rest = format_table({name: cells for name, cells in table.items() if name != "run"})
    pairs = zip(table["run"], rest, strict=True)
    return ["run", f"{GAP}{head}", *(line for name, row in pairs for line in (name, f"{GAP}{row}"))]


def split_parent(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the folder above all these, and their paths below it; "" if there is none."""
    above = ""
    with suppress(ValueError):  # absolute paths beside relative ones
        above = os.path.commonpath([os.path.dirname(name) for name in names])
    return (above, [os.path.relpath(name, above) for name in names]) if above else ("", [*names])


def sum_up(runs: Sequence[RunOverview]) -> str:
    """Return "12 runs: 1 running, 11 done; 3.2 GB"."""
    counts = Counter(run.state for run in runs)
    states = ", ".join(f"{counts[state]} {state}" for state in RunState if counts[state])
    total = sum((run.disk for run in runs), DiskUse()).total
    return f"{len(runs):,} run{'s' * (len(runs) != 1)}: {states}; {round_bytes(total)}"


def describe_as_json(run: RunOverview) -> dict[str, Any]:
    """Return a run as --json prints it. Numbers that are unknown are null."""
    numbers = ("kimg", "kimg_limit", "minutes_limit", "seconds", "seconds_left", "images_per_second", "score")
    return {
        "folder": str(run.folder),
        "state": str(run.state),
        **{name: getattr(run, name) for name in numbers},
        **{name: getattr(run, name) for name in ("metric", "last_score", "model", "data", "device", "host", "pid")},
        "share": run.share,
        "tags": run.tags,
        "bytes": {name: getattr(run.disk, name) for name in ("total", "checkpoints", "pictures", "others")},
        "changed": run.changed,
        "problem": run.problem,
    }


def format_json(runs: Sequence[RunOverview]) -> str:
    return to_json([describe_as_json(run) for run in runs], indent=1) + "\n"


def describe_use(runs: Sequence[RunOverview]) -> str:
    """Return a table of the disk use of runs, and its sum."""
    uses = [run.disk for run in runs]
    uses.append(sum(uses, DiskUse()))
    kinds = ("total", "checkpoints", "pictures", "others")
    table = {kind: [round_bytes(getattr(use, kind)) for use in uses] for kind in kinds}
    names = [printable(run.folder) for run in runs] + [f"{len(runs):,} run{'s' * (len(runs) != 1)}"]
    lines = format_table(table | {"run": names}, right={*kinds})
    return "\n".join(lines) + "\n"

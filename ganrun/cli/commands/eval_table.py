"""Prints the scores of an evaluation as a table."""

import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ganrun.metrics.scores.declarations import score_of_setting

# Entries of the protocol that the table's columns show already, besides the settings of single scores
SHOWN_IN_TABLE = re.compile(r"(samples|reference|floor)(_[ab]|_[ab]_to_[ab]|_modes)?")
PIPE_WIDTH = 120  # columns where the output is no terminal


def print_scores(content: dict, path: Path) -> None:
    """Print the content of scores.json: a table, and below it what applies to all scores."""
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    console.print(score_table(content))
    images = sorted(path.parent.glob("*.png"))
    lines = [
        *shared_facts(content).items(),
        ("written to", path),
        *(("nearest images", f"{image}   (samples beside their nearest training images)") for image in images),
    ]
    for key, value in lines:
        console.print(f"{key:<20}{value}", highlight=False)


def score_table(content: dict) -> Table:
    table = Table(title="scores", title_justify="left")
    for name in ("score", "value", "better", "real", "N"):
        table.add_column(name, justify="right" if name in ("value", "real", "N") else "left", no_wrap=True)
    table.add_column("how", overflow="fold", no_wrap=False)
    for name, value in content["scores"].items():
        basis, floor = content["basis"][name], content["floors"].get(name)
        real, count = "" if floor is None else f"{floor:.4g}", f"{basis['samples']:,}"
        table.add_row(name, f"{value:.4g}", basis["better"], real, count, basis["how"])
    return table


def shared_facts(content: dict) -> dict[str, object]:
    """Return what applies to all scores."""
    facts = {**content["protocol"], "collapsed": content["collapsed"]}
    shared = [key for key in facts if not SHOWN_IN_TABLE.fullmatch(key) and score_of_setting(key) is None]
    return {key: format_fact(facts[key]) for key in shared if facts[key] is not None}


def format_fact(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else value

"""The table of an evaluation: each score with what it is read against."""

import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

SHOWN_IN_TABLE = re.compile(r"(samples|reference|floor)(_[ab]|_[ab]_to_[ab]|_modes)?|is_splits|kid_.*|prdc_k")
PIPE_WIDTH = 120  # columns in a file or a pipe, which has no width of its own


def print_scores(content: dict, path: Path) -> None:
    """Prints what scores.json holds; what all scores have in common stands below the table."""
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    console.print(score_table(content))
    pictures = [
        f"{picture}   (samples beside their nearest training pictures)" for picture in path.parent.glob("*.png")
    ]
    lines = [
        *footer_facts(content).items(),
        ("written to", path),
        *(("neighbours", picture) for picture in sorted(pictures)),
    ]
    for key, value in lines:
        console.print(f"{key:<20}{value}", highlight=False)


def score_table(content: dict) -> Table:
    found = Table(title="scores", title_justify="left")
    for head, justify in {"score": "left", "value": "right", "better": "left", "real": "right", "N": "right"}.items():
        found.add_column(head, justify=justify, no_wrap=True)
    found.add_column("how", overflow="fold", no_wrap=False)
    for name, value in content["scores"].items():
        basis, floor = content["basis"][name], content["floors"].get(name)
        real, count = "" if floor is None else f"{floor:.4g}", f"{basis['samples']:,}"
        found.add_row(name, f"{value:.4g}", basis["better"], real, count, basis["how"])
    return found


def footer_facts(content: dict) -> dict:
    """What stands below the table, in words."""
    facts = {**content["protocol"], "collapsed": content["collapsed"]}
    return {
        key: format_fact(value)
        for key, value in facts.items()
        if value is not None and not SHOWN_IN_TABLE.fullmatch(key)
    }


def format_fact(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else value

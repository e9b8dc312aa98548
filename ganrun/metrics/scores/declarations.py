"""What the files of this folder declare, read from their source: importing them imports torch, which takes seconds."""

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ganrun.metrics import scores
from ganrun.metrics.scores import PREFIX, Direction, Score

LONGEST_ABBREVIATION = 3  # characters of a score's name
DEVIATION, ERROR = "_deviation", "_error"  # ends of the names of numbers that belong to another one
KEPT = "kid_prdc_"  # protocol entries of all scores that read kept features, under a name of version 0.1
FOLLOWS = (
    "floor",
    "averaged_weights",
    "trained_in",
    "left_out",
)  # protocol entries that follow from others and the run


class Declaration(NamedTuple):  # the literal part of a Score
    name: str
    numbers: Mapping[str, Direction]
    needs: tuple[str, ...]


def better_direction(name: str) -> Direction:
    """Which values of a number are better, "" for neither or unknown: val/fd_lenet -> lower, val/is_deviation -> ""."""
    number, declaration = find_declaration(name)
    return declaration.numbers[number] if declaration else ""


def spread_names(name: str) -> list[str]:
    """What the standard deviation and error of a score are called: val/is_lenet -> val/is_deviation_lenet, ..."""
    number, plain = find_declaration(name)[0], name.removeprefix(PREFIX)
    shown = number if plain.startswith(number) else re.sub(r"(^|_)fd(?=_|$)", r"\1fid", number)  # Inception's
    return [f"{PREFIX}{shown}{end}{plain.removeprefix(shown)}" for end in (DEVIATION, ERROR) if number]


def error_name(name: str) -> str:
    """What the standard error of a score is called, whether it has one or not: val/fid -> val/fid_error."""
    return next((other for other in spread_names(name) if ERROR in other), "")


def short_name(name: str) -> str:
    """What a score is called where space is scarce: val/fd_lenet -> FD, val/fid_a_to_b -> FD a to b, val/modes."""
    number = find_declaration(name)[0]
    side = re.search("[ab]_to_[ab]", name)
    plain = number or name.removeprefix(PREFIX)
    words = plain.upper() if len(plain) <= LONGEST_ABBREVIATION else plain.replace("_", " ")
    return f"{words} {side[0].replace('_', ' ')}" if side and number else words


def comparable_protocol(metric: str, protocol: Mapping) -> dict:
    """The entries of a protocol that runs must share for their values of `metric` to be ranked together.

    Left out are real-data baselines and the settings of other scores.
    """
    own = find_declaration(metric)[1]
    name, needs = (own.name, own.needs) if own else (None, ())

    def matters(key: str) -> bool:
        if key.startswith(KEPT):
            return any(need in ("features", "all_features", "images") for need in needs)
        return not key.startswith(FOLLOWS) and score_of_setting(key) in (None, name)

    return {key: value for key, value in protocol.items() if matters(key)}


def score_of_setting(key: str) -> str | None:
    """The score that alone depends on a protocol entry: kid_subsets -> kid, samples -> None."""
    owners = [declared.name for declared in declarations() if key.startswith(f"{declared.name}_")]
    return max(owners, key=len, default=None)


def find_declaration(name: str) -> tuple[str, Declaration | Score | None]:
    """The number that a full name such as val/fid_a_to_b stands for, and its declaration: ("fd", the score fd)."""
    plain = re.sub(r"(^|_)fid(?=_|$)", r"\1fd", re.sub("_a_to_b|_b_to_a", "", name.removeprefix(PREFIX)))
    known = {number: declared for declared in declarations() for number in declared.numbers}
    matches = [number for number in known if f"{plain}_".startswith(f"{number}_")]
    number = max(matches, key=len, default="")
    return number, known.get(number)


def declarations() -> list[Declaration | Score]:
    """All declared scores: those of this folder and those of imported modules elsewhere."""
    return [*read_declarations(tuple(scores.__path__)), *scores.DECLARED]


@cache
def read_declarations(folders: tuple[str, ...]) -> list[Declaration]:
    """The calls of `score` and `Score` in the files of the folders."""
    paths = [path for folder in folders for path in sorted(Path(folder).glob("[!_]*.py"))]
    nodes = ((path, node) for path in paths for node in ast.walk(ast.parse(path.read_text())))
    calls = [(path, node) for path, node in nodes if isinstance(node, ast.Call)]
    return [read_declaration(path, call) for path, call in calls if ast.unparse(call.func) in ("score", "Score")]


def read_declaration(path: Path, call: ast.Call) -> Declaration:
    arguments = {"needs": "()"} | {str(word.arg): ast.unparse(word.value) for word in call.keywords}
    try:
        name, better, needs = map(ast.literal_eval, (call.args[0], arguments["better"], arguments["needs"]))
    except ValueError as error:
        raise ValueError(f"{path}: name, better and needs of a score must be literals") from error
    return Declaration(name, better if isinstance(better, dict) else {name: better}, needs)

"""The answers of quizzes, which the folder of their run keeps, and what they say. Needs no torch."""

import logging
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import is_amount, is_count, is_text, optional, parse_form
from ganrun.files import read_bytes, write_json

log = logging.getLogger(__name__)
QUIZZES = "quiz"  # the folder in a run folder
REAL, GENERATED = "real", "generated"
KINDS = (REAL, GENERATED)
MAX_BYTES, MAX_BYTES_IN_ALL, MAX_FILES = 2**20, 2**24, 1000  # that are read
MAX_PICTURES = 5000  # an answer takes about 100 bytes
NORMAL_QUANTILE = 1.959963984540054  # of 97.5 %, for intervals of 95 %


def is_kind(value: Any) -> bool:
    return value in KINDS


def is_answer(value: Any) -> bool:
    """Whether it says what a picture was and what it was taken for."""
    return isinstance(value, dict) and is_kind(value.get("kind")) and is_kind(value.get("answer"))


SHEET_FORM = {
    **{"started": is_text, "checkpoint": is_text, "kimg": is_amount, "data": is_text, "seed": is_count},
    **{"number": is_count, "to": optional(is_text), "limit": optional(is_amount), "who": optional(is_text)},
    **{"pictures": is_count, "answers": [is_answer]},
}


@dataclass
class AnswerSheet:
    """A quiz, and its answers so far.

    started: date and time.  checkpoint: name of its file.  to: target domain of a translator; None for other models.
    seed, number: of the pictures; the number counts the quizzes of the run.  limit: seconds that a picture is shown.
    pictures: how many are asked for.  answers: kind (what it was), answer (what it was taken for), seconds, and the
    index among the test images or the samples.
    """

    started: str
    checkpoint: str
    kimg: float
    data: str
    seed: int
    number: int
    to: str | None
    limit: float | None
    who: str | None
    pictures: int
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def protocol(self) -> tuple:
        """What two quizzes must share for their answers to be counted together."""
        return self.kimg, self.data, self.to, self.limit

    def describe_protocol(self) -> str:
        more = [f"translations to {self.to}"] if self.to else []
        more += [f"shown for {self.limit:g} s"] if self.limit else []
        return ", ".join([f"after {self.kimg:g} kimg", *more])


@dataclass(frozen=True)
class Share:
    """A share of answers: `wrong` of `total`."""

    name: str
    wrong: int
    total: int

    def __str__(self) -> str:
        return self.describe()

    def describe(self, what: str = "", source: str = "") -> str:
        """Return "32 % of fakes (95 %: 18 to 50 %, 28 answers of 2 quizzes)".

        what: " of fakes".  source: " of 2 quizzes".
        """
        if not self.total:
            return "no answers"
        low, high = wilson_interval(self.wrong, self.total)
        counts = f"{count_of(self.total, 'answer', 'answers')}{source}"
        return f"{100 * self.wrong / self.total:.0f} %{what} (95 %: {100 * low:.0f} to {100 * high:.0f} %, {counts})"


def count_of(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the score interval of 95 % for a share of `count` in `total`, which is 1 or more. Wilson 1927."""
    share, z2 = count / total, NORMAL_QUANTILE**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (share * (1 - share) + z2 / (4 * total)) / total) / (1 + z2 / total)
    return 0.0 if count == 0 else middle - half, 1.0 if count == total else middle + half


def error_shares(sheets: Iterable[AnswerSheet]) -> list[Share]:
    """Return the shares of wrong answers: to generated pictures, to real ones, and in all.

    Zhou et al. 2019: fakes and real images that are mistaken, and HYPE-infinity, the error rate of all answers.
    """
    answers = [answer for sheet in sheets for answer in sheet.answers]
    wrong = {kind: [a["answer"] != kind for a in answers if a["kind"] == kind] for kind in KINDS}
    return [
        Share("fakes taken for real", sum(wrong[GENERATED]), len(wrong[GENERATED])),
        Share("real taken for generated", sum(wrong[REAL]), len(wrong[REAL])),
        Share("wrong in all", sum(map(sum, wrong.values())), len(answers)),
    ]


def compare_with_all(sheet: AnswerSheet, folder: Path) -> list[list[str]]:
    """Return a table, names of the columns first: the shares of a quiz, and of all of the run that compare with it."""
    alike = [other for other in read_sheets(folder) if other.protocol == sheet.protocol]
    columns = {"": [share.name for share in error_shares([])], "this quiz": error_shares([sheet])}
    if len(alike) > 1:
        columns[f"all {len(alike)} quizzes"] = error_shares(alike)
    return [list(columns), *([*map(str, row)] for row in zip(*columns.values(), strict=True))]


def describe_quizzes(folder: Path) -> str:
    """Return what the quizzes of a run say of its samples, for each protocol, the first first; "" without answers."""
    groups: dict[tuple, list[AnswerSheet]] = {}
    for sheet in read_sheets(folder):
        groups.setdefault(sheet.protocol, []).append(sheet)
    return "; ".join(map(describe_alike, groups.values()))


def describe_alike(sheets: Sequence[AnswerSheet]) -> str:
    """Return the share of fakes taken for real in quizzes of one protocol, and the protocol."""
    source = f" of {count_of(len(sheets), 'quiz', 'quizzes')}"
    text = error_shares(sheets)[0].describe(" of fakes taken for real", source)
    return f"{text} {sheets[0].describe_protocol()}"


def read_sheets(folder: Path) -> list[AnswerSheet]:
    """Return the quizzes of a run that have answers, the first first. Those that cannot be used are left out."""
    sheets, is_any_left_out, room = [], False, MAX_BYTES_IN_ALL
    for path in list_sheets(folder):
        try:
            room -= path.lstat().st_size
            sheets += [read_sheet(path)] if room >= 0 else []
        except (OSError, ValueError):
            is_any_left_out = True
    if is_any_left_out or room < 0:
        reason = "damaged or no plain files" if room >= 0 else f"unusable, or beyond {MAX_BYTES_IN_ALL:,} bytes in all"
        log.warning("%s: answers in files that are %s are left out", folder / QUIZZES, reason)
    return [sheet for sheet in sheets if sheet.answers]


def list_sheets(folder: Path) -> list[Path]:
    """Return the files of the quizzes of a run, by date; none for a link in the place of their folder."""
    place = folder / QUIZZES
    if place.is_symlink() or not place.is_dir():
        return []
    try:
        with os.scandir(place) as entries:
            names = (entry.name for entry in entries if entry.name.endswith(".json") and entry.name[0] != ".")
            paths = [place / name for name in islice(names, MAX_FILES)]
            return sorted(paths, key=lambda path: path.stem)  # of one second: without a number, -2, -3
    except OSError:
        return []


def read_sheet(path: Path) -> AnswerSheet:
    """Return the quiz in a file. ValueError if it is damaged, OSError if it cannot be read."""
    content = parse_form(read_bytes(path, MAX_BYTES), SHEET_FORM)
    try:
        return AnswerSheet(**{entry.name: content[entry.name] for entry in fields(AnswerSheet)})
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error


def claim_file(folder: Path, started: str) -> Path:
    """Create an empty file for the answers of a quiz, named by its start, and return it."""
    (folder / QUIZZES).mkdir(exist_ok=True)
    path, number = folder / QUIZZES / f"{started}.json", 1
    while True:
        try:
            path.open("x").close()
        except FileExistsError:
            number += 1
            path = path.with_name(f"{started}-{number}.json")
        else:
            return path


def write_sheet(path: Path, sheet: AnswerSheet) -> None:
    """Write a quiz as a whole or not at all."""
    write_json(path, asdict(sheet))

"""What a sweep has written, for tests."""

import csv
from pathlib import Path


def read_leaderboard(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))

"""The table of logger=csv when a run is resumed: Lightning's CSVLogger would delete it."""

import csv
import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger

from ganrun.files import create_file, open_regular


def keep_csv_history(logger: CSVLogger, images: int) -> None:
    """Have the logger append to its metrics.csv, without the rows of steps after `images`.

    Call it before anything is logged. A kill in between loses no row: the next call continues from `kept`.
    """
    path = Path(logger.log_dir) / "metrics.csv"
    kept = path.with_name(".metrics.csv.kept")
    source = path if path.exists() else kept
    if not source.exists():
        return
    text = StringIO()
    with open_regular(source) as file:
        rows = csv.DictReader(line.decode(errors="replace").replace("\0", "") for line in file)
        names = sorted(rows.fieldnames or ["step"])
        table = csv.DictWriter(text, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(row for row in rows if is_until(row, images))
    with create_file(kept) as file:
        file.write(text.getvalue().encode())
    writer = logger.experiment  # deletes metrics.csv
    os.replace(kept, path)
    writer.metrics_keys = names


def is_until(row: Mapping[str, str], images: int) -> bool:
    """Whether a row is of a step up to `images`; True if its step is unknown."""
    step = row.get("step") or ""
    return not step.isdecimal() or int(step) <= images

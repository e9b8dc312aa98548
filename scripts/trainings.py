"""What the scripts that compare trainings share: a training in a folder of its own, not repeated once it is done."""

import json
import os
import subprocess
import sys
from pathlib import Path


def train_once(folder: Path, settings: list[str]) -> dict:
    """Train in this folder on one thread, or go on where it stopped, and return its status.json.

    Raises CalledProcessError if the training fails; its output is in FOLDER.log.
    """
    record = Path(f"{folder}.json")  # a finished run of other settings must not pass for one of these
    if record.exists() and json.loads(record.read_text()) != settings:
        raise SystemExit(f"{folder} is a run of other settings, {record}. Remove both, or give another folder.")
    record.write_text(json.dumps(settings))
    if not is_done(folder):
        command = [sys.executable, "-m", "ganrun", "train", *settings, "resume=true", f"folder={folder}", "logger=none"]
        with open(f"{folder}.log", "a") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, stdout=log, stderr=log, env=environment)
    return read_status(folder)


def is_done(folder: Path) -> bool:
    return (folder / "status.json").is_file() and read_status(folder)["state"] == "done"


def read_status(folder: Path) -> dict:
    return json.loads((folder / "status.json").read_text())


def parse_seeds(text: str) -> range:
    """Return the seeds of "1-5" or "3"."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)

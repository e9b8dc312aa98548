"""The registry of runs: the folders of the newest trainings of this user, in the cache folder."""

import json
import os
from contextlib import suppress
from pathlib import Path

from ganrun.config.json_forms import is_text, parse_form
from ganrun.errors import UserError
from ganrun.files import cache_dir, is_unfinished, open_append, read_bytes, replace_text

REGISTRY = "runs.jsonl"
MAX_BYTES = 2**20
KEPT = 200  # runs that stay when the file is shortened


def note_run(folder: Path) -> None:
    """Add a run folder to the registry. A cache that cannot be written is no reason for a training to fail."""
    with suppress(OSError, UserError):
        path = cache_dir() / REGISTRY
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_append(path) as file:
            file.write(json.dumps({"folder": os.path.abspath(folder)}).encode() + b"\n")
        if path.stat().st_size > MAX_BYTES / 4:
            replace_text(path, "\n".join(read_registry(path)[-KEPT:]) + "\n")


def read_registry(path: Path) -> list[str]:
    """Return the lines of the registry, the oldest first; none if it cannot be read."""
    try:
        return read_bytes(path, MAX_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []


def newest_known_run(marker: str) -> Path | None:
    """Return the folder of the newest run in the registry that still has this file; None if there is none."""
    for line in reversed(read_registry(cache_dir() / REGISTRY)):
        with suppress(ValueError, KeyError, OSError):
            folder = Path(parse_form(line, {"folder": is_text})["folder"])
            if (folder / marker).is_file() and not is_unfinished(folder):
                return folder
    return None

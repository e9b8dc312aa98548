"""Hostile things in a folder: what a stranger may put into a run folder, a sweep folder or a data set."""

import os
from pathlib import Path


def make_fifo(path: Path) -> Path:
    """A FIFO without a writer: opening it for reading blocks for ever."""
    os.mkfifo(path)
    return path


def make_link(path: Path, target: Path) -> Path:
    """A link to something of the user's."""
    path.symlink_to(target)
    return path

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


# What a terminal acts on, a name that forges a line of output, and a name that shows in another order than it has
SEQUENCES = [
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b]0;owned\x07",  # sets the title
    "\x1b]8;;https://example.com\x1b\\here\x1b]8;;\x1b\\",  # a link
    "\x9b31m",  # colours, by the one-byte form of ESC [
    "\rganrun: done",
    "\nganrun: done",
    "\u2028ganrun: done",
    "\b\b\b\b",
    "\x7f",
    "\x00",
    "\u202egpj.exe",
    "\u2066a\u2069",
    "\udc9b",  # a byte of a file name that is not UTF-8
]


def plant_modules(folder: Path, *names: str) -> Path:
    """Put modules into a folder. One that is imported writes its name to the folder's file `imported`; return its path.

    Also a plugin of Hydra's and a package with entry points that libraries load by themselves.
    """
    mark = folder / "imported"
    package = folder / "planted-1.0.dist-info"
    for path in (folder / "hydra_plugins", package):
        path.mkdir()
    paths = [*(folder / f"{name}.py" for name in (*names, "planted_entry")), folder / "hydra_plugins" / "planted.py"]
    for path in paths:
        path.write_text(f"open({str(mark)!r}, 'a').write('{path.stem}\\n')\n")
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    groups = ("torch.backends", "lightning.pytorch.callbacks_factory", "sqlalchemy.dialects")
    (package / "entry_points.txt").write_text("".join(f"[{group}]\nplanted = planted_entry:load\n" for group in groups))
    return mark

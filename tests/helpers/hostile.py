"""Hostile things in a folder: what a stranger may put into a run folder, a sweep folder or a data set."""

import json
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


# What a browser runs or loads where it stands unescaped, in a text or in an attribute
MARKUP = [
    "<script>owned()</script>",
    "</script><script>owned()</script>",
    "<img src=x onerror=owned()>",
    "' onload='owned()' x='",
    '" onload="owned()" x="',
    "</title></style><svg onload=owned()>",
    '<a href="javascript:owned()">here</a>',
    "<iframe src=https://example.com></iframe>",
    "<!--",
    "&lt;script&gt;",
]


def write_run(folder: Path, config: dict, scores: dict[float, float], **status) -> Path:
    """Write a run folder as a training leaves it, with `val/fd` at each kimg, whatever else its files say."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps({"metrics": {"monitor": "val/fd", "mode": "min"}, **config}))
    (folder / "status.json").write_text(json.dumps({"state": "done", "kimg": 2.0, "seconds": 1.0, **status}))
    protocol = {"extractor": "lenet", "samples": 20}
    lines = [{"kimg": kimg, "val/fd": score, "protocol": protocol} for kimg, score in scores.items()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_sweep(folder: Path, values: list[dict[str, str]], **entries) -> Path:
    """Write the sweep.json of a sweep whose jobs, 0-job, 1-job ..., have these values. entries: of every job."""
    folder.mkdir(parents=True, exist_ok=True)
    definition = {"axes": [f"{key}=" for key in values[0]], "fixed": [], "seeds": [0]}
    definition["settings"] = {"metric": None, "direction": None}
    jobs = [
        {"number": k, "point": k, "values": each, "seed": 0, "name": f"{k}-job", "state": "done", **entries}
        for k, each in enumerate(values)
    ]
    (folder / "sweep.json").write_text(json.dumps({"definition": definition, "jobs": jobs}))
    return folder

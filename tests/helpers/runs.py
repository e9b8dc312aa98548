"""Overrides for tiny runs, and functions that read run folders."""

import json
import re
import shutil

import torch

QUIET = ["metrics=none", "logger=none"]
RING = ["model=gan", "data=ring", "batch_size=4", "kimg=0.032", *QUIET]
SCORED = ["metrics.samples=20", "metrics.reference=200", "validate_kimg=0.016"]
SMALL_RING = [
    "model=gan",
    "data=ring",
    "network.generator.hidden=[8]",
    "network.discriminator.hidden=[8]",
    "logger=none",
]
SHORT = [
    *SMALL_RING,
    "batch_size=20",
    "kimg=0.4",
    "metrics.samples=50",
    "ema.half_life_kimg=0.1",
    "schedule=linear_decay",
]


def status(run):
    return json.loads((run / "status.json").read_text())


def lines(run, key):
    """Return the lines of metrics.jsonl that have this key."""
    return [line for text in (run / "metrics.jsonl").read_text().splitlines() if key in (line := json.loads(text))]


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def rows(out):
    """Return the cells of each row of the tables in a text."""
    return [re.split(r" *[│┃] *", text)[1:-1] for text in out.splitlines() if text[:1] in "│┃"]


def weights(run):
    return load_checkpoint(run)["state_dict"]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def load_checkpoint(run, name=None, which="last"):
    """Load a checkpoint of a run folder: by file name, or the last or best."""
    folder = run / "checkpoints"
    name = name or json.loads((folder / "manifest.json").read_text())[which]
    return torch.load(folder / name, weights_only=True)


def rewind(run, copy, kimg):
    """Copy a run that kept every checkpoint, as a crash after so many kimg would leave it. Return the copy."""
    shutil.copytree(run, copy)
    manifest = json.loads((copy / "checkpoints" / "manifest.json").read_text())
    roles = {"last": f"kimg{kimg:010.3f}.ckpt", "previous": None, "best": None, "kept": []}
    (copy / "checkpoints" / "manifest.json").write_text(json.dumps({**manifest, **roles}))
    (copy / "status.json").write_text(json.dumps({**status(copy), "state": "running", "kimg": kimg}))
    return copy

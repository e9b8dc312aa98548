"""What stands in a checkpoint beside Lightning's own entries, how it is written, found and read."""

import json
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun.errors import UserError
from ganrun.record import replace_text, versions

SCHEMA = 1
MANIFEST = "manifest.json"


def own_entries(cfg: DictConfig, choices: dict[str, str]) -> dict[str, Any]:
    """What ganrun adds to a checkpoint: plain types alone, so that no code runs when it is read."""
    names = {group: choices.get(group) for group in ("model", "network", "data", "metrics")}
    return {
        "schema": SCHEMA,
        "config": OmegaConf.to_container(cfg, resolve=True),
        "choices": names,
        "versions": versions(),
    }


def save(trainer, folder: Path, name: str) -> Path:
    """Writes folder/name whole or not at all."""
    path, partial = folder / name, folder / f".{name}.partial"
    trainer.save_checkpoint(partial)
    if trainer.is_global_zero:
        os.replace(partial, path)
    return path


def commit(folder: Path, last: str, best: str | None, **facts: Any) -> None:
    """Names the checkpoints that count, with facts about them, and removes the others."""
    replace_text(folder / MANIFEST, json.dumps({"last": last, "best": best, **facts}, indent=2) + "\n")
    for path in folder.glob("*.ckpt"):
        if path.name not in (last, best):
            path.unlink()


def find(run: str, which: str = "last", outputs: Path = Path("outputs")) -> Path:
    """The checkpoint file that a user names: a file, a run folder, or "last" for the newest run below `outputs`.

    which: "last" or "best", for a folder.
    """
    path = newest(outputs) if run == "last" and not Path(run).exists() else Path(run).expanduser()
    if path.is_file():
        return path
    manifest = next((f for f in (path / MANIFEST, path / "checkpoints" / MANIFEST) if f.is_file()), None)
    if manifest is None:
        found = "is a folder without checkpoints" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {found}. Give a run folder, a checkpoint file, or last for the newest run.")
    return _named_by(manifest, which)


def _named_by(manifest: Path, which: str) -> Path:
    if which not in ("last", "best"):
        raise UserError(f"which={which} is not known. Allowed: last, best.")
    try:
        name = json.loads(manifest.read_text())[which]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{manifest} is damaged ({error}). Give a .ckpt file beside it.") from error
    if name is None:
        raise UserError(f"{manifest.parent} has no best checkpoint, as nothing was scored. Take which=last.")
    if not (manifest.parent / name).is_file():
        raise UserError(f"{manifest} names {name}, which is not there. Give another .ckpt file.")
    return manifest.parent / name


def newest(outputs: Path) -> Path:
    """The folder of the run whose manifest is the youngest."""
    manifests = sorted(outputs.glob(f"**/checkpoints/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    if not manifests:
        raise UserError(f"There is no run below {outputs.absolute()} yet. Start one: ganrun train")
    return manifests[-1].parent.parent


def check_bytes(path: Path) -> None:
    """Refuses a file that is no archive of tensors, or one of whose bytes has changed since it was written."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        reason = f"{damaged} in it is damaged" if damaged else ""
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error):
        reason = "it is empty" if path.stat().st_size == 0 else "it is no archive of tensors, or cut short"
    if reason:
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}). Give another, or train anew.")


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint of ours, on the CPU; no code in it is run. Raises UserError for any other file."""
    check_bytes(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # objects that are no tensors; torch's own message advises to run their code
        content = None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}). Give another, or train anew.") from error
    ours = content.get("ganrun") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or not {"config", "schema"} <= ours.keys() or "state_dict" not in content:
        raise UserError(f"{path} is no checkpoint of ganrun's. Give a run folder or a .ckpt file that ganrun wrote.")
    if ours["schema"] > SCHEMA:
        raise UserError(f"{path} was written by a newer ganrun ({ours['versions'].get('ganrun')}). Update ganrun.")
    return content

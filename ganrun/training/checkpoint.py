"""Checkpoints of a run: ganrun's entries in them, finding and loading them."""

import logging
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun.config.interpolations import resolved_copy
from ganrun.config.json_forms import (
    find_wrong_entry,
    is_config,
    is_count,
    is_number,
    is_text,
    is_thread_count,
    optional,
)
from ganrun.data.cache import LoadedData
from ganrun.data.tensor_files import TensorFileError, check_archive
from ganrun.errors import UserError
from ganrun.files import UnsafeFileError, open_regular, sha256_of_file
from ganrun.models.base import Adversarial
from ganrun.training.checkpoint_io import describe_refusal, plain_content, read_checkpoint, write_checkpoint
from ganrun.training.manifest import (
    MANIFEST,
    Manifest,
    checkpoint_files,
    checkpoint_name,
    has_checkpoints,
    newest_last,
)
from ganrun.training.run_folder import STATUS, check_contents, package_versions
from ganrun.training.runs.find import resolve_run

log = logging.getLogger(__name__)
SCHEMA = 2  # since 2 with random and callback states, so that a run can be resumed exactly

CONTENT_FORM = {  # of what is read from a checkpoint; ganrun/training/checkpoint_io.py has the rest
    "ganrun": {
        **{"schema": is_count, "config": is_config, "plan": is_config, "choices": {str: is_text}},
        **{"versions": {str: is_text}, "data": optional(is_text), "classes": [is_text], "threads": is_thread_count},
        "precision": is_text,
    },
    "seen": {
        **{"images": is_count, "batches": is_count, "progress": is_number},
        **{"steps": {str: is_count}, "images_at_step": {str: is_count}},
    },
    **{"state_dict": {}, "callbacks": {}, "pytorch-lightning_version": is_text},
    **{"optimizer_states": [{}], "lr_schedulers": [{}], "loops": {}, "global_step": is_count, "epoch": is_count},
}


def checkpoint_metadata(
    cfg: DictConfig, choices: Mapping[str, str], contents: LoadedData, precision: str
) -> dict[str, Any]:
    """Return what ganrun adds to a checkpoint: plain types only, so that loading runs no code."""
    return {
        "schema": SCHEMA,
        "config": resolved_copy(cfg),
        "plan": OmegaConf.to_container(cfg, resolve=False),  # with its interpolations, for resuming with other settings
        "choices": dict(choices),
        "data": contents.fingerprint,
        "classes": [*contents.classes],
        "versions": package_versions(),
        "threads": torch.get_num_threads(),
        "precision": str(precision),
    }


def write_branch_checkpoint(folder: Path, content: dict[str, Any]) -> Path:
    """Write the content as the first checkpoint of a new run folder; return its path."""
    path = folder / "checkpoints" / checkpoint_name(content["seen"]["images"] / 1000)
    path.parent.mkdir()
    digest = write_checkpoint(plain_content(content, path), path)
    Manifest(last=path.name, sha256={path.name: digest}).commit(path.parent)
    return path


def find_checkpoint(run: str, which: str = "last", trust: bool = False, uses_registry: bool = False) -> Path:
    """Return the checkpoint file that a user names: a file, a run folder, or "last" for the newest run in outputs/.

    trust: whether links may lead out of the run folder.  uses_registry: see `resolve_run`.
    """
    path = resolve_run(run, f"checkpoints/{MANIFEST}", uses_registry)
    check_run_contents(path, trust)
    if path.is_file():
        return path
    folder = next((f for f in (path, path / "checkpoints") if has_checkpoints(f)), None)
    if folder is None:
        problem = "is a folder without checkpoints" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {problem}. Give a run folder, a checkpoint file, or last for the newest run.")
    return checkpoint_by_role(folder, which)


def find_run(run: str, which: str = "last", trust: bool = False) -> tuple[Path, Path | None]:
    """Return the run folder that a user names and the checkpoint to resume from, or None if nothing was saved yet.

    trust: whether links may lead out of the run folder.
    """
    path = resolve_run(run, STATUS)
    check_run_contents(path, trust)
    if path.is_file():
        return path.parent.parent, path
    folder = path.parent if path.name == "checkpoints" else path
    if has_checkpoints(folder / "checkpoints"):
        return folder, checkpoint_by_role(folder / "checkpoints", which)
    if not (folder / STATUS).is_file():
        problem = "ended before its training began" if (folder / "config.yaml").is_file() else "is not a run folder"
        problem = problem if path.is_dir() else "does not exist"
        raise UserError(f"{path} {problem}. Give a run folder, last for the newest run, or start one: ganrun train")
    return folder, None


def check_run_contents(path: Path, trust: bool) -> None:
    """Check what is in a run folder, given as such, as its folder of checkpoints or as a checkpoint in that.

    Raises UserError like `check_contents`. Other files, and folders that are not run folders, may have any neighbours.
    """
    folder = path if path.is_dir() else path.parent
    folder = folder.parent if folder.name == "checkpoints" else folder if path.is_dir() else None
    if folder and any(os.path.lexists(folder / name) for name in (STATUS, "config.yaml", "checkpoints", MANIFEST)):
        check_contents(folder, trust)


def checkpoint_by_role(folder: Path, which: str) -> Path:
    """Return the checkpoint of a role, "last" or "best", in a folder of checkpoints."""
    if which not in ("last", "best"):
        raise UserError(f"which={which} is unknown. Allowed: last, best.")
    manifest = Manifest.read(folder)
    if manifest.last is None:
        return newest_readable(folder, manifest.found, which)
    name = getattr(manifest, which)
    if name is None:
        raise UserError(f"{folder} has no best checkpoint, as nothing was scored. Use which=last.")
    if not (folder / name).is_file():
        raise UserError(f"{folder / MANIFEST} names {name}, which does not exist.{suggest_other(folder / name)}")
    for other in {*checkpoint_files(folder)} - manifest.names - {*manifest.superseded}:
        if other > name:
            log.info("%s is newer, but not in %s. To use it, give the file.", folder / other, MANIFEST)
    return folder / name


def newest_readable(folder: Path, names: list[str], which: str) -> Path:
    """Return the newest checkpoint that can be read, in a folder whose manifest is missing or damaged."""
    problem = f"{folder / MANIFEST} is {'damaged' if (folder / MANIFEST).exists() else 'missing'}"
    if which == "best" and names:
        raise UserError(f"{problem}, so the best checkpoint is unknown. Use which=last, or give a .ckpt file.")
    reason = UserError("There is no checkpoint beside it.")
    for name in reversed(newest_last(names)):
        try:
            read_verified(folder / name)
        except UserError as error:
            log.warning("%s", error)
            reason = error
        else:
            log.warning("%s: using %s, the newest checkpoint there that can be read", problem, folder / name)
            return folder / name
    raise UserError(f"{problem}. {reason} Restore the files from a copy, or train again in another folder.")


def suggest_other(path: Path) -> str:
    """Return a sentence that names the newest intact checkpoint beside a bad one."""
    for name in reversed(newest_last(Manifest.read(path.parent).names - {path.name})):
        try:
            read_verified(path.parent / name)
            return f" {path.parent / name} is intact."
        except UserError:
            continue
    return " There is no intact one beside it."


def check_integrity(path: Path) -> None:
    """Raise UserError for a file that is not an archive of tensors, or whose bytes have changed since."""
    start, reason = b"", ""
    try:
        with open_regular(path, follow_links=True) as file:
            start = file.read(2)
            check_archive(file)
    except FileNotFoundError:
        reason = "it does not exist"
    except (TensorFileError, UnsafeFileError) as error:
        reason = str(error)
    except Exception:  # zipfile raises half a dozen types on a damaged archive
        reasons = {b"": "it is empty", b"PK": "it is damaged or truncated"}
        reason = reasons.get(start, "it is not an archive of tensors")
    digest = Manifest.read(path.parent).sha256.get(path.name)
    if not reason and digest is not None and digest != sha256_of_file(path):
        reason = "its bytes have changed since it was written"
    if reason:
        raise unreadable(path, reason)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a ganrun checkpoint, on the CPU; runs no code from it. UserError for other files."""
    try:
        return read_verified(path)
    except UserError as error:
        raise UserError(f"{error}{suggest_other(path)}") from error


def read_verified(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint after all checks. Raises UserError, which says what is wrong with the file."""
    check_integrity(path)
    try:
        content = read_checkpoint(path)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is not a ganrun checkpoint that can be read: {describe_refusal(error)}.") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, str(error).splitlines()[0]) from error
    content = content if isinstance(content, dict) else {}
    metadata = content.get("ganrun")
    if not isinstance(metadata, dict) or not {"config", "schema"} <= metadata.keys() or "state_dict" not in content:
        raise UserError(f"{path} is not a ganrun checkpoint. Give a run folder or a .ckpt file that ganrun wrote.")
    if (key := find_wrong_entry(content, CONTENT_FORM)) is not None:
        raise unreadable(path, f"{key} is not what ganrun writes there")
    if metadata["schema"] > SCHEMA:
        version = metadata.get("versions", {}).get("ganrun")
        raise UserError(f"{path} was written by a newer ganrun ({version}). Update ganrun.")
    if "choices" not in metadata or not {"batches", "images", "progress"} <= content.get("seen", {}).keys():
        raise unreadable(path, "it lacks parts")
    return content


def unreadable(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be read as a checkpoint ({reason}).")


def restore_weights(model: Adversarial, content: Mapping[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint, averaged ones included, and how far its training was.

    Raises UserError if the weights do not fit the networks.
    """
    model.configure_model()
    model.on_load_checkpoint(dict(content))
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"The weights in {path} do not fit the networks of the config: {reason}") from error

"""Checkpoints of a run: ganrun's entries in them, the manifest, finding and loading them."""

import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import UserError
from ganrun.files import is_unfinished, replace_text, sha256_of_file
from ganrun.models.base import Adversarial
from ganrun.training.checkpoint_io import plain_content, read_checkpoint, write_checkpoint
from ganrun.training.run_folder import STATUS, package_versions

SCHEMA = 2  # since 2 with random and callback states, so that a run can be resumed exactly
MANIFEST = "manifest.json"


@dataclass
class Manifest:
    """The valid checkpoints, by file name. A save becomes valid when the manifest on disk is replaced.

    kept: those kept for good.  sha256: of each file.  scores: of last and best, by `monitor`.
    """

    last: str | None = None
    previous: str | None = None
    best: str | None = None
    kept: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    monitor: str | None = None
    mode: str | None = None
    scores: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest in a folder of checkpoints; an empty one if there is none. UserError if it is damaged."""
        try:
            content = json.loads((folder / MANIFEST).read_text())
            return cls(**{each.name: content[each.name] for each in fields(cls) if each.name in content})
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, OSError) as error:
            raise UserError(f"{folder / MANIFEST} is damaged ({error}). Give a .ckpt file beside it.") from error

    @property
    def names(self) -> set[str]:
        """The files of all valid checkpoints."""
        return {name for name in (self.last, self.previous, self.best, *self.kept) if name}

    def with_saved(self, name: str, is_best: bool, is_permanent: bool, keep: int | None) -> "Manifest":
        """Return the manifest after `name` was saved.  keep: number of permanent checkpoints to keep (None: all)."""
        kept = [*self.kept, name] if is_permanent and name not in self.kept else self.kept
        kept = kept if keep is None else kept[max(0, len(kept) - keep) :]
        previous = self.previous if name == self.last else self.last
        manifest = replace(self, last=name, previous=previous, best=name if is_best else self.best, kept=kept)
        manifest.sha256 = {known: digest for known, digest in self.sha256.items() if known in manifest.names - {name}}
        return manifest

    def restarted_at(self, name: str, best: str | None) -> "Manifest":
        """Return the manifest of a training resumed from `name`, without later ones.  best: the best until then."""
        earlier = {known for known in self.names if known <= name}
        previous, best = max(earlier - {name}, default=None), best if best in earlier else None
        return replace(self, last=name, previous=previous, best=best, kept=[k for k in self.kept if k in earlier])

    def commit(self, folder: Path) -> None:
        """Replace the manifest on disk, and remove the files that it does not name."""
        replace_text(folder / MANIFEST, json.dumps(asdict(self), indent=2) + "\n")
        self.remove_others(folder)

    def remove_others(self, folder: Path) -> None:
        """Remove checkpoints that are not in the manifest, and what a killed process left."""
        for path in [*folder.glob("*.ckpt"), *folder.glob(".*.partial")]:
            if path.name not in self.names:
                path.unlink(missing_ok=True)


def checkpoint_name(kimg: float) -> str:
    """Return the file name of a checkpoint; names sort by kimg."""
    return f"kimg{kimg:010.3f}.ckpt"


def checkpoint_metadata(cfg: DictConfig, choices: Mapping[str, str], fingerprint: str) -> dict[str, Any]:
    """Return what ganrun adds to a checkpoint: plain types only, so that loading runs no code."""
    return {
        "schema": SCHEMA,
        "config": OmegaConf.to_container(cfg, resolve=True),
        "plan": OmegaConf.to_container(cfg, resolve=False),  # with its interpolations, for resuming with other settings
        "choices": dict(choices),
        "data": fingerprint,
        "versions": package_versions(),
    }


def write_branch_checkpoint(folder: Path, content: dict[str, Any]) -> Path:
    """Write the content as the first checkpoint of a new run folder; return its path."""
    path = folder / "checkpoints" / checkpoint_name(content["seen"]["images"] / 1000)
    path.parent.mkdir()
    digest = write_checkpoint(plain_content(content, path), path)
    Manifest(last=path.name, sha256={path.name: digest}).commit(path.parent)
    return path


def find_checkpoint(run: str, which: str = "last") -> Path:
    """Return the checkpoint file that a user names: a file, a run folder, or "last" for the newest run in outputs/."""
    path = resolve_run(run, f"**/checkpoints/{MANIFEST}")
    if path.is_file():
        return path
    folder = next((f for f in (path, path / "checkpoints") if (f / MANIFEST).is_file()), None)
    if folder is None:
        problem = "is a folder without checkpoints" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {problem}. Give a run folder, a checkpoint file, or last for the newest run.")
    return checkpoint_by_role(folder, which)


def find_run(run: str, which: str = "last") -> tuple[Path, Path | None]:
    """Return the run folder that a user names and the checkpoint to resume from, or None if nothing was saved yet."""
    path = resolve_run(run, f"**/{STATUS}")
    if path.is_file():
        return path.parent.parent, path
    folder = path.parent if path.name == "checkpoints" else path
    if not (folder / STATUS).is_file():
        problem = "ended before its training began" if (folder / "config.yaml").is_file() else "is not a run folder"
        problem = problem if path.is_dir() else "does not exist"
        raise UserError(f"{path} {problem}. Give a run folder, last for the newest run, or start one: ganrun train")
    has_saved = (folder / "checkpoints" / MANIFEST).is_file()
    return folder, checkpoint_by_role(folder / "checkpoints", which) if has_saved else None


def resolve_run(run: str, pattern: str) -> Path:
    """Return the path that a user names; "last" is the newest run folder in outputs/ with a file of that pattern."""
    if "://" in run:
        raise UserError(f"{run} is a URL. Download the file, if you trust its source, and give its path.")
    if run != "last" or Path(run).exists():
        return Path(run).expanduser()
    found = (path for path in Path("outputs").glob(pattern) if not is_unfinished(path))
    path = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if path is None:
        raise UserError(f"There is no run in {Path('outputs').absolute()} yet. Start one: ganrun train")
    return path.parent.parent if path.name == MANIFEST else path.parent


def checkpoint_by_role(folder: Path, which: str) -> Path:
    """Return the checkpoint of a role, "last" or "best", in a folder of checkpoints."""
    if which not in ("last", "best"):
        raise UserError(f"which={which} is unknown. Allowed: last, best.")
    name = getattr(Manifest.read(folder), which)
    if name is None and which == "best":
        raise UserError(f"{folder} has no best checkpoint, as nothing was scored. Use which=last.")
    if name is None:
        raise UserError(f"{folder / MANIFEST} is damaged: it names no last checkpoint. Give a .ckpt file beside it.")
    if not (folder / name).is_file():
        raise UserError(f"{folder / MANIFEST} names {name}, which does not exist.{suggest_other(folder / name)}")
    return folder / name


def suggest_other(path: Path) -> str:
    """Return a sentence that names the newest intact checkpoint beside a bad one."""
    manifest = Manifest.read(path.parent)
    others = sorted(manifest.names - {path.name}, reverse=True)
    good = next((path.parent / name for name in others if is_intact(path.parent / name, manifest)), None)
    return f" {good} is intact." if good else " There is no intact one beside it."


def is_intact(path: Path, manifest: Manifest) -> bool:
    """Return whether the file exists and has the SHA-256 of the manifest, if that is known."""
    return path.is_file() and manifest.sha256.get(path.name) in (None, sha256_of_file(path))


def check_integrity(path: Path) -> None:
    """Raise UserError for a file that is not an archive of tensors, or whose bytes have changed since it was written.

    torch does not compress its archives; a small compressed file could fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            is_compressed = sum(info.file_size for info in archive.infolist()) > path.stat().st_size
            damaged = None if is_compressed else archive.testzip()
        reason = f"{damaged} in it is damaged" if damaged else "it is compressed" if is_compressed else ""
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error):
        reasons = {b"": "it is empty", b"PK": "it is damaged or truncated"}
        with path.open("rb") as file:
            reason = reasons.get(file.read(2), "it is not an archive of tensors")
    if not reason and not is_intact(path, Manifest.read(path.parent)):
        reason = "its bytes have changed since it was written"
    if reason:
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}).{suggest_other(path)}")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a ganrun checkpoint, on the CPU; runs no code from it. UserError for other files."""
    check_integrity(path)
    try:
        content = read_checkpoint(path)
    except pickle.UnpicklingError:  # other objects than tensors; torch's message suggests to run their code
        content = None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}).{suggest_other(path)}") from error
    content = content if isinstance(content, dict) else {}
    metadata = content.get("ganrun")
    if not isinstance(metadata, dict) or not {"config", "schema"} <= metadata.keys() or "state_dict" not in content:
        advice = f"Give a run folder or a .ckpt file that ganrun wrote.{suggest_other(path)}"
        raise UserError(f"{path} is not a ganrun checkpoint. {advice}")
    if metadata["schema"] > SCHEMA:
        version = metadata["versions"].get("ganrun")
        raise UserError(f"{path} was written by a newer ganrun ({version}). Update ganrun.{suggest_other(path)}")
    return content


def restore_weights(model: Adversarial, content: Mapping[str, Any], path: Path) -> None:
    """Load the weights of a checkpoint, averaged ones included. UserError if they do not fit the networks."""
    model.configure_model()
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"The weights in {path} do not fit the networks of the config: {reason}") from error

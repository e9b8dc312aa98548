"""What stands in a checkpoint beside Lightning's own entries, which ones a run has, how they are found and read."""

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
from ganrun.paths import replace_text, sha256_of_file
from ganrun.training.checkpoint_io import read_checkpoint, write_checkpoint
from ganrun.training.run_folder import STATUS, package_versions

SCHEMA = 2  # 2: with random states and the callbacks' own, so that a run goes on exactly
MANIFEST = "manifest.json"


@dataclass
class Manifest:
    """The checkpoints that count, by their files' names; replacing it on the disk is what makes a save valid.

    kept: those that stay for good.   sha256: of each file.   scores: of last and best, by `monitor`.
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
        """That of a folder of checkpoints; an empty one where there is none. Raises UserError for a damaged one."""
        try:
            told = json.loads((folder / MANIFEST).read_text())
            return cls(**{each.name: told[each.name] for each in fields(cls) if each.name in told})
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, OSError) as error:
            raise UserError(f"{folder / MANIFEST} is damaged ({error}). Give a .ckpt file beside it.") from error

    @property
    def names(self) -> set[str]:
        return {name for name in (self.last, self.previous, self.best, *self.kept) if name}

    def with_saved(self, name: str, is_best: bool, is_for_good: bool, keep: int | None) -> "Manifest":
        """What is true when `name` is saved.   keep: how many of those for good (None: all)."""
        kept = [*self.kept, name] if is_for_good and name not in self.kept else self.kept
        kept = kept if keep is None else kept[len(kept) - min(keep, len(kept)) :]
        previous = self.previous if name == self.last else self.last
        found = replace(self, last=name, previous=previous, best=name if is_best else self.best, kept=kept)
        found.sha256 = {known: digest for known, digest in self.sha256.items() if known in found.names - {name}}
        return found

    def restarted_at(self, name: str, best: str | None) -> "Manifest":
        """What is true of a training that goes on from `name`: later ones do not count.   best: the best until then."""
        earlier = {known for known in self.names if known <= name}
        previous = max(earlier - {name}, default=None)
        kept = [known for known in self.kept if known in earlier]
        return replace(self, last=name, previous=previous, best=best if best in earlier else None, kept=kept)

    def commit(self, folder: Path) -> None:
        """Puts it in place of the one before, and removes the files that it does not name."""
        replace_text(folder / MANIFEST, json.dumps(asdict(self), indent=2) + "\n")
        self.remove_others(folder)

    def remove_others(self, folder: Path) -> None:
        """Removes what a killed process has left, and what no longer counts."""
        for path in [*folder.glob("*.ckpt"), *folder.glob(".*.partial")]:
            if path.name not in self.names:
                path.unlink(missing_ok=True)


def checkpoint_name(kimg: float) -> str:
    """The file's name, in whose order checkpoints stand."""
    return f"kimg{kimg:010.3f}.ckpt"


def checkpoint_metadata(cfg: DictConfig, choices: Mapping[str, str], data: str | None = None) -> dict[str, Any]:
    """What ganrun adds to a checkpoint: plain types alone, so that no code runs when it is read.

    choices: of the config groups.   data: fingerprint of the training data.
    """
    return {
        "schema": SCHEMA,
        "config": OmegaConf.to_container(cfg, resolve=True),
        "plan": OmegaConf.to_container(cfg, resolve=False),  # in which one setting still follows another
        "choices": dict(choices),
        "data": data,
        "versions": package_versions(),
    }


def write_branch_checkpoint(folder: Path, content: dict[str, Any]) -> Path:
    """Writes a content as the only checkpoint of a new run folder."""
    place = folder / "checkpoints"
    place.mkdir()
    path = place / checkpoint_name(content["seen"]["images"] / 1000)
    digest = write_checkpoint(content, path)
    Manifest(last=path.name, sha256={path.name: digest}).commit(place)
    return path


def find_checkpoint(run: str, which: str = "last", outputs: Path = Path("outputs")) -> Path:
    """The checkpoint file that a user names: a file, a run folder, or "last" for the newest run below `outputs`.

    which: "last" or "best", for a folder.
    """
    path = resolve_run(run, f"**/checkpoints/{MANIFEST}", outputs)
    if path.is_file():
        return path
    folder = next((f for f in (path, path / "checkpoints") if (f / MANIFEST).is_file()), None)
    if folder is None:
        found = "is a folder without checkpoints" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {found}. Give a run folder, a checkpoint file, or last for the newest run.")
    return checkpoint_by_role(folder, which)


def find_run(run: str, which: str = "last", outputs: Path = Path("outputs")) -> tuple[Path, Path | None]:
    """The run folder that a user names, and the checkpoint to go on from: None where nothing was saved yet."""
    path = resolve_run(run, f"**/{STATUS}", outputs)
    if path.is_file():
        return path.parent.parent, path
    folder = path.parent if path.name == "checkpoints" else path
    if not (folder / STATUS).is_file():
        found = "ended before it had begun" if (folder / "config.yaml").is_file() else "is no run folder"
        found = found if path.is_dir() else "does not exist"
        raise UserError(f"{path} {found}. Give a run folder, or last for the newest run; or start it: ganrun train")
    has_saved = (folder / "checkpoints" / MANIFEST).is_file()
    return folder, checkpoint_by_role(folder / "checkpoints", which) if has_saved else None


def resolve_run(run: str, pattern: str, outputs: Path) -> Path:
    """The path that a user names; last is the newest folder of a run with a file of that pattern."""
    if "://" in run:
        raise UserError(f"{run} is an address. Download the file, from somebody you trust, and give its path.")
    return newest_run(pattern, outputs) if run == "last" and not Path(run).exists() else Path(run).expanduser()


def checkpoint_by_role(folder: Path, which: str) -> Path:
    """The checkpoint of that role in a folder of checkpoints."""
    if which not in ("last", "best"):
        raise UserError(f"which={which} is not known. Allowed: last, best.")
    name = getattr(Manifest.read(folder), which)
    if name is None and which == "best":
        raise UserError(f"{folder} has no best checkpoint, as nothing was scored. Take which=last.")
    if name is None:
        raise UserError(f"{folder / MANIFEST} is damaged: it names no last checkpoint. Give a .ckpt file beside it.")
    if not (folder / name).is_file():
        raise UserError(f"{folder / MANIFEST} names {name}, which is not there.{suggest_other(folder / name)}")
    return folder / name


def newest_run(pattern: str, outputs: Path) -> Path:
    """The folder of the run whose file of that pattern is the youngest."""
    found = sorted(outputs.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UserError(f"There is no run below {outputs.absolute()} yet. Start one: ganrun train")
    return found[-1].parent.parent if found[-1].name == MANIFEST else found[-1].parent


def suggest_other(path: Path) -> str:
    """A clause that names the good checkpoints beside a bad one, the newest first."""
    manifest = Manifest.read(path.parent) if (path.parent / MANIFEST).is_file() else Manifest()
    others = sorted(manifest.names - {path.name}, reverse=True)
    good = next((path.parent / name for name in others if is_intact(path.parent / name, manifest)), None)
    return f" There is also {good}" if good else " There is no other one beside it."


def is_intact(path: Path, manifest: Manifest) -> bool:
    """Whether a file is there and, where its digest is known, has it."""
    return path.is_file() and manifest.sha256.get(path.name) in (None, sha256_of_file(path))


def check_integrity(path: Path) -> None:
    """Refuses a file that is no archive of tensors, or one of whose bytes has changed since it was written.

    torch writes its archives unpacked; of others, a small file could fill the memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            is_packed = sum(info.file_size for info in archive.infolist()) > path.stat().st_size
            damaged = None if is_packed else archive.testzip()
        reason = f"{damaged} in it is damaged" if damaged else "it is packed" if is_packed else ""
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error):
        known = {b"": "it is empty", b"PK": "it is damaged or cut short"}
        reason = known.get(first_bytes(path), "it is no archive of tensors")
    manifest = Manifest.read(path.parent) if not reason and (path.parent / MANIFEST).is_file() else Manifest()
    if not is_intact(path, manifest):
        reason = "its bytes have changed since it was written"
    if reason:
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}).{suggest_other(path)}")


def first_bytes(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(2)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint of ours, on the CPU; no code in it is run. Raises UserError for any other file."""
    check_integrity(path)
    try:
        content = read_checkpoint(path)
    except pickle.UnpicklingError:  # objects that are no tensors; torch's own message advises to run their code
        content = None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as a checkpoint ({reason}).{suggest_other(path)}") from error
    ours = content.get("ganrun") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or not {"config", "schema"} <= ours.keys() or "state_dict" not in content:
        advice = f"Give a run folder or a .ckpt file that ganrun wrote.{suggest_other(path)}"
        raise UserError(f"{path} is no checkpoint of ganrun's. {advice}")
    if ours["schema"] > SCHEMA:
        version = ours["versions"].get("ganrun")
        raise UserError(f"{path} was written by a newer ganrun ({version}). Update ganrun.{suggest_other(path)}")
    return content

"""The manifest of a run: which of the files in its folder of checkpoints count, and as what."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ganrun.config.json_forms import is_amount, is_plain_name, is_shallow, is_text, optional, read_form
from ganrun.files import UnsafeFileError, write_json

MANIFEST = "manifest.json"
MAX_BYTES = 2**22  # tens of thousands of checkpoints


def is_checkpoint_name(value: Any) -> bool:
    """Whether it is the name of a file, with no path to another folder."""
    return is_plain_name(value) and value.endswith(".ckpt")


NAME = optional(is_checkpoint_name)
SCORE = optional({"kimg": is_amount, "value": optional(is_shallow)})
MANIFEST_FORM = {
    **{"last": is_checkpoint_name, "previous": NAME, "best": NAME, "sha256": {str: is_text}},
    **{name: [is_checkpoint_name] for name in ("kept", "found", "superseded")},
    **{"monitor": optional(is_text), "mode": optional(is_text), "scores": {str: SCORE}},
}


@dataclass
class Manifest:
    """The valid checkpoints, by file name. A save becomes valid when the manifest on disk is replaced.

    kept: those kept for good.  sha256: of each file.  scores: of last and best, by `monitor`.
    found: files that were there when a manifest was missing. One of them may be the best, so all of them stay.
    superseded: files that the manifest before this one named. Only these are removed.
    """

    last: str | None = None
    previous: str | None = None
    best: str | None = None
    kept: list[str] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    monitor: str | None = None
    mode: str | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Return the manifest in a folder of checkpoints.

        If it is missing or damaged, `last` is None and `found` has the files that are there. Raises OSError if the
        system refuses to read it.
        """
        try:
            content = read_form(folder / MANIFEST, MAX_BYTES, MANIFEST_FORM)
        except (ValueError, FileNotFoundError, NotADirectoryError, UnsafeFileError):
            content = {}
        if "last" not in content:
            return cls(found=checkpoint_files(folder))
        return cls(**{each.name: content[each.name] for each in fields(cls) if each.name in content})

    @property
    def names(self) -> set[str]:
        """The files of all valid checkpoints, and of those found."""
        return {name for name in (self.last, self.previous, self.best, *self.kept, *self.found) if name}

    def with_saved(self, name: str, is_best: bool, is_permanent: bool, keep: int | None) -> "Manifest":
        """Return the manifest after `name` was saved.  keep: number of permanent checkpoints to keep (None: all)."""
        kept = [*self.kept, name] if is_permanent and name not in self.kept else self.kept
        kept = kept if keep is None else kept[max(0, len(kept) - keep) :]
        previous = self.previous if name == self.last else self.last
        manifest = replace(self, last=name, previous=previous, best=name if is_best else self.best, kept=kept)
        manifest.found = [other for other in self.found if other != name]
        manifest.sha256 = {known: digest for known, digest in self.sha256.items() if known in manifest.names - {name}}
        return manifest._superseding(self)

    def restarted_at(self, name: str, best: str | None) -> "Manifest":
        """Return the manifest of a training resumed from `name`, without later ones.  best: the best until then."""
        earlier = {known for known in self.names if known <= name}
        previous, best = max(earlier - {name}, default=None), best if best in earlier else None
        kept = [known for known in self.kept if known in earlier]
        return replace(self, last=name, previous=previous, best=best, kept=kept)._superseding(self)

    def _superseding(self, before: "Manifest") -> "Manifest":
        self.superseded = sorted((before.names | {*before.superseded}) - self.names)
        return self

    def commit(self, folder: Path) -> None:
        """Replace the manifest on disk, and remove the files that it supersedes."""
        entries = asdict(self).items()
        content = {name: value for name, value in entries if value or name not in ("found", "superseded")}
        write_json(folder / MANIFEST, content)
        for name in self.superseded:
            (folder / name).unlink(missing_ok=True)
        self.superseded = []


def checkpoint_name(kimg: float) -> str:
    """Return the file name of a checkpoint; names sort by kimg."""
    return f"kimg{kimg:010.3f}.ckpt"


def checkpoint_files(folder: Path) -> list[str]:
    """Return the names of the files in a folder that may be checkpoints, the oldest first."""
    paths = [path for path in folder.glob("*.ckpt") if is_checkpoint_name(path.name) and path.is_file()]
    return newest_last(path.name for path in paths)


def newest_last(names: Iterable[str]) -> list[str]:
    """Sort names of checkpoints by kimg, those that a user gave before all others."""
    return sorted(names, key=lambda name: (name.startswith("kimg"), name))


def has_checkpoints(folder: Path) -> bool:
    """Return whether a folder holds checkpoints, or should by its manifest."""
    return (folder / MANIFEST).is_file() or bool(checkpoint_files(folder))


def remove_partial_files(folder: Path) -> None:
    """Remove what a killed process had not written to its end."""
    for path in [*folder.glob(".*.ckpt.partial"), folder / f".{MANIFEST}.partial"]:
        path.unlink(missing_ok=True)

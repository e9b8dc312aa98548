"""The image files below folders: one list for training, for scores of folders and for translation.

Nothing is left out without a trace: `ImageFiles` says what was, and why.
"""

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganrun.errors import UserError
from ganrun.files import cache_dir, outputs_dir

SUFFIXES = frozenset(
    (".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga")
) | {".tif", ".tiff", ".webp"}
NOT_READ = frozenset(
    (".avif", ".heic", ".heif", ".ico", ".j2k", ".jp2", ".jxl", ".psd", ".svg")
)  # for the message only
HIDDEN = "hidden"
OTHER = "other files"
FOREIGN = "images in formats that are not read"
DEAD = "dead links"
UNREADABLE = "unreadable folders"
VISITED = "links to folders that are read anyway or lie above"
WRITTEN = "folders of runs and caches"
ONE = {
    FOREIGN: "image in a format that is not read",
    **{OTHER: "other file", DEAD: "dead link", UNREADABLE: "unreadable folder", WRITTEN: "folder of a run or cache"},
    VISITED: "link to a folder that is read anyway or lies above",
}
COMMANDS = ("train", "eval", "sample", "look", "translate", "export", "compare", "sweeps")  # folders below outputs/
RUN_FILES = ({"config.yaml", "status.json"}, {"card.json", "README.md"})  # of a run, and of an exported model
SHOWN, SUFFIXES_SHOWN = 3, 5  # paths and suffixes named in a message


@dataclass
class ImageFiles:
    """What lies below a folder. paths: the image files, sorted. folders: all that were read. left_out: {why: paths}."""

    folder: Path
    paths: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def parts(self, path: Path) -> tuple[str, ...]:
        """Return the names on the way from the folder to a path."""
        return path.relative_to(self.folder).parts


def list_images(folder: Path, visited: set[str] | None = None) -> ImageFiles:
    """Return the image files below a folder, by their suffixes. No file is opened.

    Links are followed, but each real folder is read once, under its own name rather than that of a link if both are
    there. Hidden files and folders, a link to a folder above itself, and folders that ganrun wrote are left out.
    visited: real paths of folders that other lists have read; those of this one are added.
    """
    found, visited = ImageFiles(folder), set() if visited is None else visited
    pending, links = [(str(folder), os.path.realpath(folder))], []
    while pending or links:
        parent, real = pending.pop() if pending else _follow(heapq.heappop(links))
        is_link_up = parent != str(folder) and Path(os.path.realpath(os.path.dirname(parent))).is_relative_to(real)
        if real in visited or (is_link_up and os.path.islink(parent)):
            found.left_out[VISITED].append(parent)
            continue
        visited.add(real)
        for entry in _read_folder(parent, real, found):
            if entry.is_symlink():
                heapq.heappush(links, entry.path)
            else:
                pending.append((entry.path, os.path.join(real, entry.name)))
    found.paths.sort(key=str)
    return found


def find_images(folder: Path) -> list[Path]:
    """Return all image files below a folder, sorted; see `list_images`."""
    return list_images(folder).paths


def _follow(link: str) -> tuple[str, str]:
    return link, os.path.realpath(link)


def _read_folder(parent: str, real: str, found: ImageFiles) -> Iterator[os.DirEntry[str]]:
    """Sort what a folder holds into `found`; yield its subfolders and links to folders."""
    try:
        with os.scandir(parent) as scanned:
            entries = [*scanned]
    except OSError as error:
        found.left_out[UNREADABLE].append(f"{parent} ({error.strerror})")
        return
    if parent != str(found.folder) and is_written_by_ganrun(real, {entry.name for entry in entries}):
        found.left_out[WRITTEN].append(parent)
        return
    found.folders.append(Path(parent))
    for entry in entries:
        if entry.name.startswith("."):
            found.left_out[HIDDEN].append(entry.path)
        elif os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
            yield entry
        elif entry.is_symlink() and not os.path.exists(entry.path):
            found.left_out[DEAD].append(f"{entry.path} -> {os.readlink(entry.path)}")
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            found.paths.append(Path(entry.path))
        else:
            reason = FOREIGN if Path(entry.name).suffix.lower() in NOT_READ else OTHER
            found.left_out[reason].append(entry.path)


def is_written_by_ganrun(folder: str, names: set[str]) -> bool:
    """Return whether a folder with these entries is a run, an exported model, all commands' `outputs`, or a cache."""
    is_outputs = os.path.basename(folder) == "outputs" or folder == os.path.realpath(outputs_dir())
    is_outputs = is_outputs and any(name in names and os.path.isdir(os.path.join(folder, name)) for name in COMMANDS)
    is_prepared = "manifest.json" in names and any(name.endswith(".npy") for name in names)
    is_run = any(names >= files for files in RUN_FILES)
    return is_outputs or is_prepared or is_run or folder == os.path.realpath(cache_dir())


def require_images(folder: Path, expected: str) -> list[Path]:
    """Return all images below a folder. Raise UserError, ending with `expected`, if there is none."""
    return require_image_files(list_images(folder), expected).paths


def require_image_files(found: ImageFiles, expected: str) -> ImageFiles:
    """Return the list. Raise UserError, ending with `expected`, if it is empty."""
    if found.paths:
        return found
    left_out = describe_left_out([found])
    seen = f" It holds {left_out}. Files need one of these suffixes." if left_out else ""
    raise UserError(f"{found.folder} contains no image ({', '.join(sorted(SUFFIXES))}).{seen} {expected}")


def refuse_lost(found: Sequence[ImageFiles], advice: str, reasons: Sequence[str] = (UNREADABLE, DEAD)) -> None:
    """Raise UserError, ending with `advice`, for folders that cannot be read and for dead links."""
    for reason in reasons:
        if lost := [path for each in found for path in each.left_out.get(reason, ())]:
            more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
            raise UserError(f"Found {_count(lost, reason)}: {', '.join(lost[:SHOWN])}{more}. {advice}")


def describe_left_out(found: Sequence[ImageFiles]) -> str:
    """Return what was left out, in words: "3 hidden, 2 other files (1 .txt, 1 without suffix)"; empty for nothing."""
    reasons: dict[str, list[str]] = {}
    for each in found:
        for reason, paths in each.left_out.items():
            reasons[reason] = reasons.get(reason, []) + paths
    words = {reason: _count(paths, reason) for reason, paths in sorted(reasons.items())}
    for reason, advice in ((OTHER, ""), (FOREIGN, ": convert them to .png")):
        if reason in words:
            words[reason] += f" ({_count_suffixes(reasons[reason])}{advice})"
    return ", ".join(words.values())


def _count(paths: Sequence[str], reason: str) -> str:
    return f"1 {ONE.get(reason, reason)}" if len(paths) == 1 else f"{len(paths)} {reason}"


def _count_suffixes(paths: Sequence[str]) -> str:
    counts = Counter(Path(path).suffix.lower() or "without suffix" for path in paths)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{count} {suffix}" for suffix, count in ordered[:SUFFIXES_SHOWN]]
    rest = sum(count for _, count in ordered[SUFFIXES_SHOWN:])
    return ", ".join([*words, f"{rest} more"] if rest else words)

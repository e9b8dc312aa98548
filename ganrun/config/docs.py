"""What the configs say of themselves: comments, choices and keys, read without a yaml parser so that help is fast."""

import re
from pathlib import Path
from typing import NamedTuple

from ganrun import paths as places
from ganrun.errors import UserError

HIDDEN_GROUPS = {"run"}  # groups that are no choice of a user
KEY_LINE = re.compile(r"(?P<indent> *)(?P<name>[\w-]+):(?:\s+(?P<value>[^\s#].*?))??(?:\s+#\s*(?P<word>.*))?\s*")
DEFAULT_LINE = re.compile(r"\s*- +(?:(?:optional|override) +)*/?(?P<group>[\w/]+)(?:@[\w.]+)?: *(?P<choice>[^\s#]+)")


class DocumentedKey(NamedTuple):
    name: str  # dotted
    default: str
    word: str  # its comment


def conf_dirs(config_dir: str | None = None) -> list[Path]:
    """The folders of configs: our own, then the user's. Raises UserError if that one is not there."""
    if config_dir is None:
        return [places.conf_dir()]
    if not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder (looked in {Path.cwd()}).")
    return [places.conf_dir(), Path(config_dir)]


def group_names(folders: list[Path]) -> list[str]:
    names = {path.parent.name for folder in folders for path in folder.glob("*/*.yaml")}
    return sorted(names - HIDDEN_GROUPS)


def is_group(name: str, folders: list[Path]) -> bool:
    return bool(name) and any((folder / name).is_dir() for folder in folders)


def group_choices(group: str, folders: list[Path]) -> dict[str, Path]:
    """The file of each choice; where both folders have one, Hydra takes ours."""
    files = [path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")]
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def header_comment(path: Path) -> list[str]:
    """The comment lines at the head of the file, without their #, and without `# @package`."""
    lines = []
    for line in _read_lines(path):
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[1:].removeprefix(" ").rstrip())
    return lines


def one_line_summary(path: Path) -> str:
    """The first comment line: one line on what the config is."""
    return next((line for line in header_comment(path) if line), "")


def key_prefix(group: str, path: Path) -> str:
    """The dotted prefix that the file's keys have in the whole config."""
    match = re.search(r"^# @package (\S+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    name = match[1] if match else group.replace("/", ".")
    return "" if name == "_global_" else f"{name}."


def parent_files(path: Path) -> list[Path]:
    """The configs that this one inherits from: the bare names in its defaults list, relative to its folder."""
    names = (
        match[1] for line in _read_lines(path) if (match := re.match(r"\s*- ([\w/]+)(?:@_here_)?\s*(?:#|$)", line))
    )
    return [file for name in names if (file := path.parent / f"{name}.yaml").is_file()]


def default_choices(path: Path) -> dict[str, str]:
    """The choices in the defaults list and in those it inherits from: {group: choice}."""
    chosen = {group: choice for parent in parent_files(path) for group, choice in default_choices(parent).items()}
    found = (DEFAULT_LINE.match(line) for line in _read_lines(path))
    return chosen | {
        match["group"]: match["choice"] for match in found if match and match["group"] not in HIDDEN_GROUPS
    }


def documented_keys(path: Path) -> list[DocumentedKey]:
    """The keys that hold a value, inherited ones too: a key keeps its parent's comment where it has none of its own."""
    merged = {key.name: key for parent in parent_files(path) for key in documented_keys(parent)}
    for key in _keys_in_file(path):
        inherited = merged.get(key.name)
        merged[key.name] = key._replace(word=key.word or inherited.word) if inherited else key
    return list(merged.values())


def _keys_in_file(path: Path) -> list[DocumentedKey]:
    """Nested keys dotted; left out are `_target_` and its like, and what only points to another node."""
    above, found = [], []
    for line in _read_lines(path):
        match = KEY_LINE.fullmatch(line)
        if not match or match["name"] == "defaults":
            continue
        depth = len(match["indent"])
        above = [(indent, name) for indent, name in above if indent < depth]
        if match["value"] is None:
            above.append((depth, match["name"]))
        elif not match["name"].startswith("_") and (match["word"] or not match["value"].startswith("${")):
            name = ".".join([*(name for _, name in above), match["name"]])
            found.append(DocumentedKey(name, match["value"], match["word"] or ""))
    return found

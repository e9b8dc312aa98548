"""The documentation in the configs: comments, choices and keys. Reads them without a yaml parser, to keep help fast."""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from ganrun import files
from ganrun.errors import UserError

HIDDEN_GROUPS = {"run"}  # not for users to choose from
LIST_GROUPS = {"regularizer"}  # of which any number may be chosen: regularizer=[r1,r2]
NETWORK_PARTS = ("generator", "discriminator", "encoder")  # groups that choose a part of a network set
KEY_LINE = re.compile(r"(?P<indent> *)(?P<name>[\w-]+):(?:\s+(?P<value>[^\s#].*?))??(?:\s+#\s*(?P<comment>.*))?\s*")
DEFAULT_LINE = re.compile(r"\s*- +(?:(?:optional|override) +)*/?(?P<group>[\w/]+)(?:@[\w.]+)?: *(?P<choice>[^\s#]+)")


class DocumentedKey(NamedTuple):
    name: str  # dotted
    default: str
    comment: str


def conf_dirs(config_dir: str | None = None) -> list[Path]:
    """Return the folders of configs: ganrun's, then the user's. Raises UserError if the user's does not exist."""
    if config_dir is None:
        return [files.conf_dir()]
    if not Path(config_dir).is_dir():
        raise UserError(
            f"--config-dir {config_dir} does not exist in {Path.cwd()}. Give the path of a folder with configs."
        )
    return [files.conf_dir(), Path(config_dir)]


def group_names(folders: list[Path]) -> list[str]:
    names = {path.parent.name for folder in folders for path in folder.glob("*/*.yaml")}
    parts = {part for part in NETWORK_PARTS if group_choices(part, folders)}
    return sorted((names | parts) - HIDDEN_GROUPS)


def is_group(name: str, folders: list[Path]) -> bool:
    is_part = name in NETWORK_PARTS and bool(group_choices(name, folders))
    return is_part or (bool(name) and any((folder / name).is_dir() for folder in folders))


def group_folders(group: str) -> tuple[str, ...]:
    """Return the folders of the group's files. A part of the networks may have its own file, or be one of a set."""
    return (group, "network") if group in NETWORK_PARTS else (group,)


def group_choices(group: str, folders: list[Path]) -> dict[str, Path]:
    """Return {choice: file}. If several folders have a choice, Hydra takes that of the first."""
    choices = _files_in(group, folders)
    if group in NETWORK_PARTS:
        sets = _files_in("network", folders)
        choices |= {name: path for name, path in sets.items() if has_part(path, group, sets)}
    return {name: choices[name] for name in sorted(choices)}


def _files_in(group: str, folders: list[Path]) -> dict[str, Path]:
    return {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}


def has_part(path: Path, part: str, sets: Mapping[str, Path]) -> bool:
    """Return whether a network set, or one of those that it inherits from, has the part. sets: {name: file}."""
    parents = [sets[name] for name in parent_names(path) if name in sets and sets[name] != path]
    is_own = any(line.startswith(f"{part}:") for line in _read_lines(path))
    return is_own or any(has_part(parent, part, sets) for parent in parents)


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def header_comment(path: Path) -> list[str]:
    """Return the comment lines at the start of the file, without # and without the line `# @package`."""
    lines = takewhile(lambda line: line.startswith("#"), _read_lines(path))
    return [line[1:].removeprefix(" ").rstrip() for line in lines if not line.startswith("# @package")]


def one_line_summary(path: Path) -> str:
    """Return the first comment line, which says what the config is."""
    return next((line for line in header_comment(path) if line), "")


def key_prefix(group: str, path: Path) -> str:
    """Return the dotted prefix that the file's keys have in the composed config."""
    match = re.search(r"^# @package (\S+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    name = match[1] if match else f"network.{group}" if group in NETWORK_PARTS else group.replace("/", ".")
    return "" if name == "_global_" else f"{name}."


def parent_names(path: Path) -> list[str]:
    """Return the bare names in the defaults list: the configs that this one inherits from, and `_self_`."""
    text = "\n".join(_read_lines(path))
    text = re.sub(r"^defaults: *\[([^\]{}]*)\]", lambda match: "- " + match[1].replace(",", "\n-"), text, flags=re.M)
    return re.findall(r"^\s*- *(?:/network/)?([\w/-]+)(?:@_here_)?\s*(?:#.*)?$", text, re.M)


def parent_files(path: Path) -> list[Path]:
    """Return the files that this one inherits from, relative to its folder."""
    return [file for name in parent_names(path) if (file := path.parent / f"{name}.yaml").is_file()]


def default_choices(path: Path) -> dict[str, str]:
    """Return {group: choice} of the defaults list and of those that the file inherits from."""
    chosen = {group: choice for parent in parent_files(path) for group, choice in default_choices(parent).items()}
    matches = (match for line in _read_lines(path) if (match := DEFAULT_LINE.match(line)))
    return chosen | {match["group"]: match["choice"] for match in matches if match["group"] not in HIDDEN_GROUPS}


def choice_keys(group: str, path: Path) -> list[DocumentedKey]:
    """Return the keys of a choice, by their names in the composed config. Of a network set, only those of the part."""
    if group in NETWORK_PARTS and path.parent.name == "network":
        return _part_keys(group, path)
    return [key._replace(name=key_prefix(group, path) + key.name) for key in documented_keys(path)]


def _part_keys(part: str, path: Path) -> list[DocumentedKey]:
    """Return the keys of a part of a network set, and in the place of ${network.width} what that is in the set."""
    keys = {f"network.{key.name}": key for key in documented_keys(path, with_references=True)}
    values = {name: keys.get(key.default.strip("${}'\""), key)._replace(name=name) for name, key in keys.items()}
    return [key for name, key in values.items() if name.startswith(f"network.{part}.") and "${" not in key.default]


def documented_keys(path: Path, with_references: bool = False) -> list[DocumentedKey]:
    """Return the keys that hold a value, inherited ones included. A key without a comment has the inherited one.

    with_references: also those that hold an interpolation and have no comment.
    """
    merged = {key.name: key for parent in parent_files(path) for key in documented_keys(parent, with_references)}
    for key in _keys_in_file(path, with_references):
        inherited = merged.get(key.name)
        merged[key.name] = key._replace(comment=key.comment or inherited.comment) if inherited else key
    return list(merged.values())


def _keys_in_file(path: Path, with_references: bool) -> list[DocumentedKey]:
    """Return the file's own keys, without `_target_` and the like."""
    above: list[tuple[int, str]] = []  # (indent, name) of the nodes around the line
    keys = []
    for line in _read_lines(path):
        match = KEY_LINE.fullmatch(line)
        if not match or (match["name"] in ("defaults", *LIST_GROUPS) and not match["indent"]):
            continue
        depth = len(match["indent"])
        above = [(indent, name) for indent, name in above if indent < depth]
        if match["value"] is None:
            above.append((depth, match["name"]))
        elif not match["name"].startswith("_") and (
            with_references or match["comment"] or not match["value"].startswith("${")
        ):
            name = ".".join([*(name for _, name in above), match["name"]])
            keys.append(DocumentedKey(name, match["value"], match["comment"] or ""))
    return keys

"""The documentation in the configs: comments, choices and keys. Reads them without a yaml parser, to keep help fast."""

import re
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from ganrun import files
from ganrun.errors import UserError

HIDDEN_GROUPS = {"run"}  # not for users to choose from
LIST_GROUPS = {"regularizer"}  # of which any number may be chosen: regularizer=[r1,r2]
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
    return sorted(names - HIDDEN_GROUPS)


def is_group(name: str, folders: list[Path]) -> bool:
    return bool(name) and any((folder / name).is_dir() for folder in folders)


def group_choices(group: str, folders: list[Path]) -> dict[str, Path]:
    """Return {choice: file}. If several folders have a choice, Hydra takes that of the first."""
    configs = [path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")]
    return {path.stem: path for path in sorted(configs, key=lambda path: path.stem)}


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
    name = match[1] if match else group.replace("/", ".")
    return "" if name == "_global_" else f"{name}."


def parent_files(path: Path) -> list[Path]:
    """Return the files that this one inherits from: the bare names in its defaults list, relative to its folder."""
    names = (
        match[1] for line in _read_lines(path) if (match := re.match(r"\s*- ([\w/]+)(?:@_here_)?\s*(?:#|$)", line))
    )
    return [file for name in names if (file := path.parent / f"{name}.yaml").is_file()]


def default_choices(path: Path) -> dict[str, str]:
    """Return {group: choice} of the defaults list and of those that the file inherits from."""
    chosen = {group: choice for parent in parent_files(path) for group, choice in default_choices(parent).items()}
    matches = (match for line in _read_lines(path) if (match := DEFAULT_LINE.match(line)))
    return chosen | {match["group"]: match["choice"] for match in matches if match["group"] not in HIDDEN_GROUPS}


def documented_keys(path: Path) -> list[DocumentedKey]:
    """Return the keys that hold a value, inherited ones included. A key without a comment has the inherited one."""
    merged = {key.name: key for parent in parent_files(path) for key in documented_keys(parent)}
    for key in _keys_in_file(path):
        inherited = merged.get(key.name)
        merged[key.name] = key._replace(comment=key.comment or inherited.comment) if inherited else key
    return list(merged.values())


def _keys_in_file(path: Path) -> list[DocumentedKey]:
    """Return the file's own keys, without `_target_` and the like and without uncommented interpolations."""
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
        elif not match["name"].startswith("_") and (match["comment"] or not match["value"].startswith("${")):
            name = ".".join([*(name for _, name in above), match["name"]])
            keys.append(DocumentedKey(name, match["value"], match["comment"] or ""))
    return keys

"""Checks of overrides that need the names of the configs, but not Hydra, which ignores some mistakes."""

import re
from collections.abc import Iterable
from pathlib import Path

from ganrun.config import docs
from ganrun.config.overrides import OVERRIDE
from ganrun.errors import UserError, did_you_mean

CHOICE_NAME = re.compile(r"[\w./+-]+")


def check_added_keys(verb: str, args: Iterable[str], folders: list[Path]) -> None:
    """Raise UserError for +key=value that such a command does not read. Classes of the user's own are in train."""
    known = {key.name.partition(".")[0] for key in docs.documented_keys(folders[0] / f"{verb}.yaml")}
    for match in filter(None, map(OVERRIDE.match, args)):
        first = re.split("[./@]", match["key"])[0]
        if match["sign"] in ("+", "++") and first not in known | {"hydra"} and not docs.is_group(first, folders):
            hint = did_you_mean(match["key"], known)
            raise UserError(f"+{match['key']} has no effect: ganrun {verb} reads no setting of this name.{hint}")


def check_choices(args: Iterable[str], folders: list[Path]) -> None:
    """Raise UserError for a group=choice without a file. Hydra ignores a misspelt choice of an optional group."""
    if any(arg.lstrip("+").startswith("hydra.searchpath=") for arg in args):
        return
    for match in filter(None, map(OVERRIDE.match, args)):
        group = match["key"].partition("@")[0]
        if match["sign"] != "~" and docs.is_group(group, folders):
            names = match["value"]
            if group in docs.LIST_GROUPS and re.fullmatch(r"\[.*\](,\[.*\])*", names):
                names = re.sub(r"[\[\]]", "", names)
            if names.startswith(("[", "{")):
                raise UserError(f"{group} must be the name of one choice, got {names}. All: ganrun list {group}")
            for name in names.split(",") if names else ():
                check_choice(group, name.strip(), folders)


def check_choice(group: str, name: str, folders: list[Path]) -> None:
    kinds = docs.group_folders(group)
    files = [path for folder in folders for kind in kinds if (path := folder / kind / f"{name}.yaml").is_file()]
    if len(files) > 1:
        raise UserError(f"{files[1]} would be ignored: ganrun has a {group} of that name. Rename the file.")
    if group in docs.NETWORK_PARTS and name not in docs.group_choices(group, folders):  # a set without this part
        files = []
    is_misspelt = not files and (not name or bool(CHOICE_NAME.fullmatch(name)))
    if is_misspelt and (group, name) != ("experiment", "null"):
        raise UserError(f'Unknown {group} "{name}".{did_you_mean(name, docs.group_choices(group, folders))}')

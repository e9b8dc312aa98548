"""Hydra overrides as text: what key they set, how a value is quoted, which ones another command needs too."""

import os
import re
from collections.abc import Iterable, Mapping

OVERRIDE = re.compile(r"(?P<sign>\+{1,2}|~)?(?P<key>[\w./@$-]+)=(?P<value>.*)", re.DOTALL)


UNQUOTED = re.compile(r"[\w./+-]*")


def override_keys(words: list[str]) -> set[str]:
    return {setting["key"] for word in words if (setting := OVERRIDE.match(word))}


def is_override(word: str) -> bool:
    return bool(OVERRIDE.match(word)) or bool(re.fullmatch(r"~[\w.@]+", word))


def with_default_experiment(verb: str, words: list[str]) -> list[str]:
    """A bare `ganrun train` is the digits experiment; experiment=null, which Hydra cannot read, is none."""
    if verb == "train" and not override_keys(words) & {"model", "data", "experiment"}:
        return ["experiment=digits", *words]
    return [word for word in words if word != "experiment=null"]


def repeatable_overrides(verb: str, words: list[str]) -> list[str]:
    """The words in a form that means the same when they are read as a command once more."""
    return [*words, "experiment=null"] if with_default_experiment(verb, words) != words else [*words]


def config_dir_flags(flags: Mapping[str, str]) -> list[str]:
    """Of a command's flags those that a command which it starts needs too: where configs lie."""
    return [word for name, value in flags.items() if name == "--config-dir" for word in (name, value)]


def search_path_overrides(words: Iterable[str]) -> list[str]:
    """Of Hydra's own settings those that say where configs lie."""
    return [word for word in words if word.lstrip("+").startswith("hydra.searchpath=")]


def expand_home(word: str) -> str:
    """Shells expand ~ only at the start of a word, and Hydra cannot read it: data.root=~/celeba is expanded here."""
    setting = OVERRIDE.match(word)
    if not setting or not re.match(r"~(/|$)", setting["value"]):
        return word
    path = os.path.expanduser(setting["value"])
    return word[: setting.start("value")] + (path if UNQUOTED.fullmatch(path) else quote_value(path))


def quote_override(path: str) -> str:
    """The path as a value of an override that stays a text, whatever it looks like."""
    return quote_value(path.replace("${", "\\${"))


def quote_value(value: str) -> str:
    """The value as a quoted string of Hydra's override grammar."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", value)) + "'"

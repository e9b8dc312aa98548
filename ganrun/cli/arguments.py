"""The words after the verb: flags, RUN and key=value settings, checked as far as is possible without Hydra."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from ganrun.config import docs
from ganrun.config.overrides import (
    OVERRIDE,
    expand_home,
    is_override,
    override_keys,
    quote_override,
    with_default_experiment,
)
from ganrun.errors import UserError, did_you_mean

ANY_VALUE = ("",)
FLAGS = {  # name: the values it allows; None: it takes no value
    "--help": None,
    "--multirun": None,
    "--resolve": None,
    "--cfg": ("job", "hydra", "all"),
    "--package": ANY_VALUE,
    "--config-dir": ANY_VALUE,
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--folder": ANY_VALUE,
    "--against": ANY_VALUE,
}
FOLDER_FLAGS = {"--folder": "pictures", "--against": "against"}  # flags of eval, and the keys that they set
SHORT_FLAGS = {
    "-h": "--help",
    "-m": "--multirun",
    "-c": "--cfg",
    "-p": "--package",
    "-cd": "--config-dir",
    "-i": "--info",
}
CHOICE_NAME = re.compile(r"[\w./+-]+")


class Command(NamedTuple):
    verb: str
    run: str | None  # RUN of the verbs that take one
    flags: dict[str, str]  # long name: value, "" for a flag without one
    overrides: list[str]  # for Hydra
    changes: list[str] = []  # settings of the run that `resume` goes on with

    @property
    def is_sweep(self) -> bool:
        return "--multirun" in self.flags


def unknown_verb(word: str, verbs: Iterable[str]) -> UserError:
    if word.startswith("-"):
        return UserError(f'Unknown flag "{word}". The verb comes first, as in: ganrun train --help')
    if "=" in word:
        return UserError(f"The verb comes before the settings, as in: ganrun train {word}")
    return UserError(f'There is no verb "{word}".{did_you_mean(word, verbs)}')


def parse_flags(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The flags by their long names, and the other words."""
    flags, others, queue = {}, [], list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-"):
            others.append(word)
            continue
        name, equals, value = word.partition("=")
        name = SHORT_FLAGS.get(name, name)
        if name not in FLAGS:
            raise unknown_flag(word)
        flags[name] = check_flag_value(name, value) if equals else take_flag_value(name, queue)
    return flags, others


def unknown_flag(word: str) -> UserError:
    name, equals, value = word.lstrip("-").partition("=")
    allowed = did_you_mean(f"--{name}", FLAGS)
    if get_close_matches(f"--{name}", FLAGS, cutoff=0.75):
        return UserError(f'Unknown flag "{word}".{allowed}')
    setting = f"{name.replace('-', '_')}={value if equals else 'VALUE'}"
    return UserError(
        f'Unknown flag "{word}". Settings are written without dashes: {setting}. Flags: {", ".join(FLAGS)}.'
    )


def take_flag_value(name: str, queue: list[str]) -> str:
    allowed = FLAGS[name]
    if allowed is None:
        return ""
    if name == "--info" and (not queue or queue[0] not in allowed):
        return "all"
    if not queue:
        raise UserError(f"{name} needs a value{': ' + ', '.join(allowed) if allowed is not ANY_VALUE else ''}.")
    return check_flag_value(name, queue.pop(0))


def check_flag_value(name: str, value: str) -> str:
    allowed = FLAGS[name]
    if allowed is None:
        raise UserError(f"{name} takes no value, but {value!r} was given.")
    if allowed is not ANY_VALUE and value not in allowed:
        raise UserError(f'{name} cannot be "{value}".{did_you_mean(value, allowed)}')
    return value


def verb_flags(verb: str) -> list[str]:
    """The flags that a verb takes."""
    return [name for name in FLAGS if verb == "eval" or name not in FOLDER_FLAGS]


def pop_folder_flags(verb: str, flags: dict[str, str]) -> list[str]:
    """The settings that eval's two flags stand for, which are taken out of `flags`. UserError for another verb."""
    given = {name: flags.pop(name) for name in FOLDER_FLAGS if name in flags}
    if given and verb != "eval":
        hint = " A run has folder=VALUE, and data=folder data.root=VALUE for its pictures." if verb == "train" else ""
        raise UserError(f"{next(iter(given))} is a flag of eval alone: ganrun eval --folder A --against B.{hint}")
    return [f"{FOLDER_FLAGS[name]}={quote_override(os.path.expanduser(path))}" for name, path in given.items()]


def parse_command(verb: str, takes_run: bool, flags: dict[str, str], words: list[str]) -> Command:
    """The command, RUN told from the settings. Raises UserError for words that are neither and for unknown choices."""
    folders = docs.conf_dirs(flags.get("--config-dir"))
    run, words = split_run(words) if takes_run else (None, words)
    for word in words:
        if not is_override(word):
            raise unexpected_argument(verb, word, run, folders)
    if takes_run and not {"--cfg", "--info"} & set(flags):
        check_run(verb, run, words)
    check_choices(words, folders)
    lost = [word for word in words if min(override_keys([word]), default="").split(".")[0] == "sweep"]
    if lost and "--multirun" not in flags:
        raise UserError(f"{lost[0]} is of a sweep: ganrun {verb} -m {' '.join(words)}")
    words, changes = split_changes(words, folders) if verb == "resume" else (words, [])
    words = add_default_metrics(verb, with_default_experiment(verb, words))
    return Command(verb, run, flags, [expand_home(word) for word in words], changes)


def split_changes(words: list[str], folders: list[Path]) -> tuple[list[str], list[str]]:
    """resume's own settings, and those of the run that it goes on with."""
    own = {key.name for key in docs.documented_keys(folders[0] / "resume.yaml")}
    changes = [
        word for word in words if (key := min(override_keys([word]), default="")) not in own and "hydra." not in key
    ]
    return [word for word in words if word not in changes], changes


def split_run(words: list[str]) -> tuple[str | None, list[str]]:
    """RUN, which is the first word that is a path or no setting, and the other words."""
    for i, word in enumerate(words):
        if word.startswith("run="):
            return word[len("run=") :], words[:i] + words[i + 1 :]
        if os.path.exists(word) or word.startswith("~/") or not is_override(word):
            return os.path.expanduser(word), words[:i] + words[i + 1 :]
    return None, words


def check_run(verb: str, run: str | None, words: list[str]) -> None:
    """Raises UserError where there is no RUN, and where there is one beside two folders."""
    if is_folder_eval(verb, words) and run:
        raise UserError(
            f"--folder and --against score pictures without any run, and {run} was given too: leave one of them out. "
            f"A run's samples are compared with a folder by: ganrun eval {run} data=folder data.root=FOLDER"
        )
    if not is_folder_eval(verb, words) and not run:
        raise UserError(
            f"{verb} needs a run folder, a checkpoint file or the word last (the newest run), as in: ganrun {verb} last"
        )


def is_folder_eval(verb: str, words: list[str]) -> bool:
    return verb == "eval" and bool(override_keys(words) & {*FOLDER_FLAGS.values()})


def unexpected_argument(verb: str, word: str, run: str | None, folders: list[Path]) -> UserError:
    owners = [group for group in docs.group_names(folders) if word in docs.group_choices(group, folders)]
    if owners:
        hint = f" It is a choice of {owners[0]}: write {owners[0]}={word}"
    elif re.fullmatch(r"[\w.]+", word):
        hint = f" A setting is written {word}=VALUE; ganrun {verb} --help shows them all."
    else:
        hint = f" Settings are written key=value; ganrun {verb} --help shows them all."
    had = f" The run is {run} already." if run else ""
    return UserError(f'What is "{word}"?{had}{hint}')


def check_choices(words: list[str], folders: list[Path]) -> None:
    """Raises UserError where group=choice has no file: Hydra lets a misspelt choice of an optional group pass."""
    if any(word.lstrip("+").startswith("hydra.searchpath=") for word in words):
        return
    for word in words:
        setting = OVERRIDE.match(word)
        group = setting["key"].partition("@")[0] if setting else ""
        if setting and setting["sign"] != "~" and docs.is_group(group, folders):
            for name in setting["value"].split(","):
                check_choice(group, name.strip(), folders)


def check_choice(group: str, name: str, folders: list[Path]) -> None:
    files = [path for folder in folders if (path := folder / group / f"{name}.yaml").is_file()]
    if len(files) > 1:
        raise UserError(
            f"{files[1]} has the name of a {group} that comes with ganrun, which would be taken. Rename it."
        )
    is_file = bool(files)
    if not is_file and (not name or CHOICE_NAME.fullmatch(name)) and (group, name) != ("experiment", "null"):
        raise UserError(f'There is no {group} "{name}".{did_you_mean(name, docs.group_choices(group, folders))}')


def add_default_metrics(verb: str, words: list[str]) -> list[str]:
    """Two folders, unlike a run, know of no scores of their own: they are metrics=inception."""
    is_plain = is_folder_eval(verb, words) and not override_keys(words) & {"metrics", "protocol"}
    return ["metrics=inception", *words] if is_plain else words

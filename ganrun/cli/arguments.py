"""The command line after the verb: flags, RUN and overrides. Checks all that it can without loading Hydra."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from ganrun.cli.choices import check_added_keys, check_choices
from ganrun.cli.config_file import (
    check_file_trust,
    is_whole_config,
    overrides_of_file,
    read_config_file,
    split_config_file,
)
from ganrun.config import docs, overrides
from ganrun.config.foreign_words import find_own_word
from ganrun.config.overrides import (
    expand_home,
    override_keys,
    quote_override,
    take_names_literally,
    with_default_experiment,
)
from ganrun.errors import UserError, did_you_mean, ganrun_command, suggest

FLAGS = {  # {name: allowed values, () for any}; None for a flag without a value
    "--help": None,
    "--multirun": None,
    "--resolve": None,
    "--cfg": ("job", "hydra", "all"),
    "--package": (),
    "--config-dir": (),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--folder": (),
    "--against": (),
}
FOLDER_FLAGS = {"--folder": "pictures", "--against": "against"}  # flags of eval, and the keys that they set
ALIASES = {"-h": "--help", "-m": "--multirun", "-c": "--cfg", "-p": "--package", "-cd": "--config-dir", "-i": "--info"}
OWN_ALIASES = {"-y": "--yes", "-f": "--follow"}  # of flags that single commands without a config take
FIRST_MEANT = ("data", "experiment", "model")  # groups that a name without a group belongs to, if other groups have it


class Command(NamedTuple):
    """A parsed command line.

    run: RUN, for verbs that take one.  flags: {long name: value}, "" for a flag without a value.  overrides: for Hydra.
    changes: `resume` only: overrides of the run's own config.  trust: None if the user typed the overrides; else they
    were saved by an earlier command, and this says whether the user trusts them.
    """

    verb: str
    run: str | None
    flags: dict[str, str]
    overrides: list[str]
    changes: list[str] = []
    trust: bool | None = None

    @property
    def is_sweep(self) -> bool:
        return "--multirun" in self.flags


def unknown_verb(arg: str, verbs: Iterable[str]) -> UserError:
    if arg.startswith("-"):
        return UserError(f'Unknown flag "{arg}". Flags follow the command, as in: ganrun train --help')
    if "=" in arg:
        return UserError(f"The command comes before its settings, as in: {ganrun_command('train', arg)}")
    return UserError(f'Unknown command "{arg}".{did_you_mean(arg, verbs)}')


def parse_own_flags(verb: str, args: list[str], own: Sequence[str]) -> list[str]:
    """Return the arguments of a command without a config, its flags by their long names. UserError for other flags.

    own: the flags that it takes besides --help; they have no values.
    """
    parsed = [(OWN_ALIASES | ALIASES).get(arg, arg) for arg in args]
    allowed = (*own, "--help")
    for arg, name in zip(args, parsed, strict=True):
        if arg.startswith("-") and name not in allowed:
            hint = f"ganrun {verb} takes {', '.join(allowed)}. A name that begins with - is written ./{arg}"
            raise UserError(f'Unknown flag "{arg}".{suggest(get_close_matches(arg, allowed, n=1, cutoff=0.6))} {hint}')
    return parsed


def split_settings(verb: str, args: Iterable[str], allowed: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Split the arguments of a command without a config into names and {key: value}. UserError for another key."""
    names, settings = [], {}
    for arg in args:
        key, equals, value = arg.partition("=")
        if not equals or os.path.exists(arg) or "/" in key:
            names.append(os.path.expanduser(arg))
        elif key in allowed:
            settings[key] = value
        else:
            takes = did_you_mean(key, allowed) if allowed else " It takes none."
            raise UserError(f"ganrun {verb} has no setting {key}.{takes}")
    return names, settings


def is_set(settings: Mapping[str, str], key: str) -> bool:
    """Return whether a setting of such a command is true. UserError for anything but true and false."""
    value = settings.get(key, "false").lower()
    if value not in ("true", "false"):
        raise UserError(f"{key} must be true or false, got {settings[key]}. Leave it out, or: {key}=true")
    return value == "true"


def parse_flags(verb: str, args: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split the arguments into {long flag: value} and the rest. Raise UserError for an unknown flag or value."""
    flags, others, queue = {}, [], list(args)
    while queue:
        arg = queue.pop(0)
        if not arg.startswith("-"):
            others.append(arg)
            continue
        name, equals, value = arg.partition("=")
        name = ALIASES.get(name, name)
        if name not in FLAGS:
            raise unknown_flag(verb, arg, queue)
        queue = [value, *queue] if equals else queue
        flags[name] = take_flag_value(name, queue, bool(equals))
    return flags, others


def unknown_flag(verb: str, arg: str, following: Sequence[str]) -> UserError:
    """Return the error for a flag, with the setting that may be meant. following: the arguments after it."""
    name, equals, value = arg.lstrip("-").partition("=")
    if get_close_matches(f"--{name}", FLAGS, cutoff=0.75):
        return UserError(f'Unknown flag "{arg}".{did_you_mean(f"--{name}", FLAGS)}')
    if not equals and following and not following[0].startswith("-") and "=" not in following[0]:
        value = following[0]
    if own := find_own_word(verb, name, value):
        return UserError(f'Unknown flag "{arg}". Settings have no dashes, and in ganrun {verb} this one is {own}')
    setting = f"{name.replace('-', '_')}={value or 'VALUE'}"
    return UserError(f'Unknown flag "{arg}". Write settings without dashes: {setting}. Flags: {", ".join(FLAGS)}.')


def take_flag_value(name: str, queue: list[str], is_given: bool) -> str:
    """Remove the flag's value from the front of `queue`, and return it. is_given: as in --name=value."""
    allowed = FLAGS[name]
    if allowed is None:
        if is_given:
            raise UserError(f'{name} takes no value, got "{queue[0]}".')
        return ""
    if name == "--info" and not is_given and (not queue or queue[0] not in allowed):
        return "all"
    if not queue:
        raise UserError(f"{name} needs a value{': ' + ', '.join(allowed) if allowed else ''}.")
    value = queue.pop(0)
    if allowed and value not in allowed:
        raise UserError(f'{name} does not accept "{value}".{did_you_mean(value, allowed)}')
    return value


def pop_folder_flags(verb: str, flags: dict[str, str]) -> list[str]:
    """Take --folder and --against out of `flags` and return them as overrides. UserError if the verb is not eval."""
    given = {name: flags.pop(name) for name in FOLDER_FLAGS if name in flags}
    if given and verb != "eval":
        hint = " The run folder is folder=PATH; your own images are data=folder data.root=PATH."
        raise UserError(
            f"Only eval takes {next(iter(given))}: ganrun eval --folder A --against B.{hint if verb == 'train' else ''}"
        )
    return [f"{FOLDER_FLAGS[name]}={quote_override(os.path.expanduser(path))}" for name, path in given.items()]


def parse_command(verb: str, takes_run: bool, flags: dict[str, str], args: list[str]) -> Command:
    """Build the command. Raise UserError for an argument that is neither RUN nor an override, or an unknown choice."""
    folders = docs.conf_dirs(flags.get("--config-dir"))
    run, args = split_run(args) if takes_run else (None, args)
    file, args = split_config_file(args) if verb == "train" else (None, args)
    args = [*settings_of_file(file, args, folders), *without_trust(args)] if file else args
    args = [take_names_literally(arg, "--multirun" in flags) for arg in args]
    args = [own for arg in args for own in (split_loggers(arg) if verb == "train" else [arg])]
    for arg in args:
        if not overrides.is_override(arg):
            raise unexpected_argument(verb, arg, run, folders)
    if takes_run and not {"--cfg", "--info"} & set(flags):
        check_run(verb, run, args)
    check_choices(args, folders)
    if verb not in ("train", "resume"):
        check_added_keys(verb, args, folders)
    misplaced = [arg for arg in args if override_key(arg).split(".")[0] == "sweep"]
    if misplaced and "--multirun" not in flags:
        raise UserError(f"{misplaced[0]} applies to sweeps, which need -m: {ganrun_command(verb, '-m', *args)}")
    changes = []
    if verb == "resume":
        own = {key.name for key in docs.documented_keys(folders[0] / "resume.yaml")}
        changes = [arg for arg in args if override_key(arg) not in own and "hydra." not in override_key(arg)]
        args = [arg for arg in args if arg not in changes]
    if verb in ("eval", "sample", "look", "play", "translate", "quiz") and "data" not in override_keys(
        args
    ):  # the place of the run's own data
        args = [f"+{arg}" if arg.startswith("data.root=") else arg for arg in args]
    if is_folder_eval(verb, args) and not override_keys(args) & {"metrics", "protocol", "data"}:
        args = ["metrics=inception", *args]  # two folders have no metrics of their own, unlike a run or data
    return Command(verb, run, flags, [expand_home(arg) for arg in with_default_experiment(verb, args)], changes)


def settings_of_file(file: Path, args: list[str], folders: list[Path]) -> list[str]:
    """Return the settings of a YAML file as overrides: all that the command line does not give.

    Raises UserError for a file that runs code, unless trust=true is among the arguments: it may be somebody else's.
    """
    content = read_config_file(file)
    is_trusted = is_set({key: value for key, _, value in (arg.partition("=") for arg in args)}, "trust")
    if not is_whole_config(content):
        if not is_trusted:
            check_file_trust(content, file)
        return overrides_of_file(content, file, args)
    from ganrun.cli.run_config import choices_of_run, overrides_of_run  # imports Hydra

    choices = choices_of_run(file, folders)
    check_choices(choices, folders)
    return overrides_of_run(content, file, choices, args, folders, is_trusted)


def without_trust(args: list[str]) -> list[str]:
    return [arg for arg in args if override_key(arg) != "trust"]


def split_loggers(arg: str) -> list[str]:
    """Return logger=[tensorboard,csv] as an override for each logger; any other argument as it is."""
    match = re.fullmatch(r"logger=\[\s*([\w-]+(?:\s*,\s*[\w-]+)*)\s*\]", arg)
    if not match:
        return [arg]
    first, *more = (name.strip() for name in match[1].split(","))
    if len({first, *more}) <= len(more):
        raise UserError(f"{arg} names a logger twice. Name each once: logger=[tensorboard,csv]")
    return [f"logger={first}", *(f"+logger@more_loggers.{name}={name}" for name in more)]


def override_key(arg: str) -> str:
    """Return the key that an override sets, "" if it deletes one."""
    return min(override_keys([arg]), default="")


def split_run(args: list[str]) -> tuple[str | None, list[str]]:
    """Split off RUN: run=PATH, or the first argument that exists as a path or is not an override."""
    for i, arg in enumerate(args):
        if arg.startswith("run="):
            return arg[len("run=") :], args[:i] + args[i + 1 :]
        if os.path.exists(arg) or arg.startswith("~/") or not overrides.is_override(arg):
            return os.path.expanduser(arg), args[:i] + args[i + 1 :]
    return None, args


def check_run(verb: str, run: str | None, args: list[str]) -> None:
    """Raise UserError if RUN is missing, or if it is given although eval compares two folders."""
    if is_folder_eval(verb, args) and run:
        raise UserError(
            f"--folder and --against score image folders without a run, but RUN is given too: {run}. Remove one. "
            f"To compare the run's samples with a folder: {ganrun_command('eval', run)} data=folder data.root=FOLDER"
        )
    if not is_folder_eval(verb, args) and not run:
        raise UserError(
            f"{verb} needs a run folder, a checkpoint file or the word last (the newest run), as in: ganrun {verb} last"
        )


def is_folder_eval(verb: str, args: list[str]) -> bool:
    """Whether this is an eval of two image folders instead of a run."""
    return verb == "eval" and bool(override_keys(args) & {*FOLDER_FLAGS.values()})


def unexpected_argument(verb: str, arg: str, run: str | None, folders: list[Path]) -> UserError:
    groups = sorted(docs.group_names(folders), key=lambda group: (group not in FIRST_MEANT, group))
    named = [(group, name) for group in groups for name in docs.group_choices(group, folders)]
    meant = [(group, name) for group, name in named if name.lower() == re.sub("[- ]", "_", arg.lower())]
    word = "n" if arg.isdigit() and verb != "train" else arg  # of samples, images, ...
    own = find_own_word(verb, word, arg if word == "n" else "")
    setting = f"{arg}=VALUE" if re.fullmatch(r"[A-Za-z_][\w.]*", arg) else "key=value"
    hint = f"Settings are written {own or setting}. To list them: ganrun {verb} --help"
    if meant:
        group, name = meant[0]
        hint = f"To choose this {group}, write {group}={name}"
    second = f" RUN is already {run}." if run else ""
    return UserError(f'Unexpected argument "{arg}".{second} {hint}')

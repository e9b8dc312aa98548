"""Says in a user's words what Hydra, OmegaConf and yaml say in theirs."""

import re
import traceback
from collections.abc import Iterator
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from ganrun import paths
from ganrun.cli.arguments import Command
from ganrun.config import docs
from ganrun.config.overrides import OVERRIDE
from ganrun.errors import UserError, did_you_mean, is_full_disk


def as_user_error(error: BaseException, command: Command) -> UserError | None:
    """The error as a UserError; None if it is no mistake of the user but a failure of the program."""
    for cause in error_chain(error):
        if isinstance(cause, UserError):
            return cause
    for kind, explain in EXPLANATIONS.items():
        if isinstance(error, kind):
            message = explain(error, command)
            return message and UserError(message)
    return None


def as_composition_error(error: BaseException, command: Command) -> UserError | None:
    """The same for an error before any job began: Hydra's ValueErrors and OSErrors are mistakes of the user too."""
    known = as_user_error(error, command)
    return UserError(f"{first_line(error)}.") if known is None and isinstance(error, ValueError | OSError) else known


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on: Hydra wraps what a class raises that it builds."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


# grammar


SWEEP_VALUES = ("a,b,c", "range(1,5)", "choice(a,b)", "interval(0,1)", "tag(log,interval(1e-5,1e-2))", "glob(*)")


def unreadable_override(error: OverrideParseException, command: Command) -> str:
    setting = OVERRIDE.match(error.override)
    if not setting:
        return f"Cannot read {error.override}: a setting is written key=value."
    head, value = error.override[: setting.start("value")], setting["value"].strip("'\"")
    if value.startswith(("[", "{")) and value.count(value[0]) != value.count({"[": "]", "{": "}"}[value[0]]):
        return f'Cannot read {error.override}: the "{value[0]}" is not closed.'
    if command.is_sweep and re.fullmatch(r"\w+\(.*\)", value):
        return f"Cannot read {error.override}. Values of a sweep are {', '.join(SWEEP_VALUES)}."
    cure = f"\"{head}'{value}'\"" if "'" not in value else f"'{head}\"{value}\"'"
    return f"Cannot read {error.override}. A value with other signs than letters, digits and ./+-_ is quoted: {cure}"


# composition


def bad_composition(error: HydraException, command: Command) -> str:
    """One of Hydra's composition errors: its kind can be told only from its text."""
    text = str(error)
    for pattern, explain in COMPOSITION.items():
        match = re.search(pattern, text, re.DOTALL)
        if match:
            return explain(match[1], error, command)
    detail = next(
        (first_line(cause) for cause in error_chain(error) if str(cause).strip()), "the config cannot be composed"
    )
    return f"{detail} (see: ganrun {command.verb} --info defaults)"


def several_values(override: str, error: HydraException, command: Command) -> str:
    key, _, values = override.partition("=")
    return (
        f"{override} asks for several jobs: start them with ganrun {command.verb} -m, or give {key} one value, "
        f"which may be a list: '{key}=[{values}]'."
    )


def group_already_chosen(group: str, error: HydraException, command: Command) -> str:
    wanted = next((word.lstrip("+") for word in command.overrides if word.lstrip("+").startswith(f"{group}=")), "")
    return f"{group} is chosen already: write {wanted or f'{group}=CHOICE'} without a +."


def key_already_exists(key: str, error: HydraException, command: Command) -> str:
    word = next((word.lstrip("+") for word in command.overrides if word.startswith(f"+{key}=")), f"{key}=VALUE")
    return f"There is a {key} already: write {word} without the +."


def nothing_to_delete(name: str, error: HydraException, command: Command) -> str:
    hint = did_you_mean(name, public_names(compose_choices(command)))
    return f"~{name} takes away what is not there.{hint if '=' not in name else ''}"


def other_value(key: str, error: HydraException, command: Command) -> str:
    fact = first_line(error).partition(". ")[2]
    return f"~{key} names another value than the config has: {fact} Write ~{key} to take it away."


def wrong_value(override: str, error: HydraException, command: Command) -> str:
    reason = first_line(error.__cause__) if error.__cause__ else "it does not fit"
    return f"{override}: {reason}."


def no_choice(group: str, error: HydraException, command: Command) -> str:
    names = ", ".join(docs.group_choices(group, conf_folders(command)))
    return f"No {group} is chosen: write {group}=CHOICE. Allowed: {names}."


def unused_group(group: str, error: HydraException, command: Command) -> str:
    where = re.match(r"In '(.+?)': ", str(error))
    place = f"In {where[1]}.yaml: there" if where else "There"
    return f"{place} is no {group} to choose in this config. See: ganrun {command.verb} --help"


def unknown_key(key: str, error: HydraException, command: Command) -> str:
    """Names the nearest keys at the level where the key leaves the config, and the same key elsewhere."""
    config = compose_choices(command)
    parts, node, depth = key.split("."), config, 0
    while isinstance(node, dict) and depth < len(parts) - 1 and parts[depth] in node:
        node, depth = node[parts[depth]], depth + 1
    level, wrong = ".".join(parts[:depth]), parts[depth]
    if level and not isinstance(node, dict):
        return f"There is no key {key}: {level} is a single value, {node}."
    names = public_names(node) if level else public_names(node) | chosen_groups(config)
    twins = [name for name in dotted_keys(config) if name.rpartition(".")[2] == parts[-1]]
    hint = f" Did you mean {' or '.join(twins[:3])}?" if twins else did_you_mean(wrong, names)
    full = f"{level}.{wrong}" if level else wrong
    if full in ("sweep.trials", "sweep.storage"):
        return f"{full} is of a search: give sweep=tpe, or random, sobol, cmaes."
    return f"There is no key {full}.{hint} To add it: +{override_of(key, command)}"


def override_of(key: str, command: Command) -> str:
    return next((word for word in command.overrides if word.partition("=")[0] == key), f"{key}=VALUE")


def public_names(node: Any) -> set[str]:
    return {str(name) for name in node if not str(name).startswith(("_", "hydra"))} if isinstance(node, dict) else set()


def chosen_groups(config: dict) -> set[str]:
    """The groups that have a choice in this config, those of Hydra's own left out."""
    choices = config.get("hydra", {}).get("runtime", {}).get("choices", {})
    return {group for group in choices if not group.startswith("hydra/")} - docs.HIDDEN_GROUPS


def dotted_keys(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, dict) and name != "hydra":
            yield from dotted_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def compose_choices(command: Command) -> dict:
    """The config and Hydra's own node with the choices of groups alone, unresolved; {} if even that fails."""
    roots = conf_folders(command)
    choices = [word for word in command.overrides if docs.is_group(word.partition("=")[0], roots)]
    overrides = [word.partition(",")[0] for word in choices]  # the first value of a sweep
    if len(roots) > 1:
        overrides.append(f"hydra.searchpath=['file://{roots[1].resolve()}']")
    try:
        with initialize_config_dir(config_dir=str(paths.conf_dir()), version_base="1.3"):
            return OmegaConf.to_container(compose(command.verb, overrides, return_hydra_config=True))
    except Exception:
        return {}


def conf_folders(command: Command) -> list:
    return docs.conf_dirs(command.flags.get("--config-dir"))


COMPOSITION = {
    r"^Could not override '([^'@]+)'\.\nTo append to your config": unknown_key,
    r"Could not override '([^']+)'": unused_group,
    r"Ambiguous value for argument '(.*?)'\n": several_values,
    r"Sweep parameters '(.*)' requires": several_values,
    r"Multiple values for (\S+)\.": group_already_chosen,
    r"An item is already at '(.*?)'": key_already_exists,
    r"Could not delete (?:from config\. )?'(.*?)'": nothing_to_delete,
    r"Could not delete from config\. The value of '(.*?)' is": other_value,
    r"^Error merging override (.*)": wrong_value,
    r"You must specify '(.*?)'": no_choice,
}


def missing_config(error: MissingConfigException, command: Command) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"There is no config {name}.yaml in {', '.join(map(str, conf_folders(command)))}."
    roots = conf_folders(command)
    files = [path for root in roots for path in root.glob("*/*.yaml") if docs.default_choices(path).get(group) == name]
    place = f"{files[0]} asks for it. " if files else ""
    return f'There is no {group} "{name}". {place}{did_you_mean(name, error.options or []).lstrip()}'


# values and files


def missing_value(error: MissingMandatoryValue, command: Command) -> str:
    return f"{error.full_key} has no value yet: add {error.full_key}=VALUE."


def bad_value(error: OmegaConfBaseException, command: Command) -> str:
    suspects = [error.full_key] if error.full_key else [word for word in command.overrides if "${" in word]
    place = "".join(f"{word}: " for word in suspects)
    return f"{place}{first_line(error)}. See the config: ganrun {command.verb} --cfg job"


def broken_yaml(error: yaml.YAMLError, command: Command) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"A config is no yaml: {first_line(error)}."
    problem = getattr(error, "problem", None) or getattr(error, "context", None)
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {problem}."


def bad_target(error: InstantiationException, command: Command) -> str | None:
    """A class that is not found, or that takes other arguments; None for what it raised while being built."""
    texts = [" ".join(str(cause).split()) for cause in error_chain(error)]
    target = re.search(r"target '(.*?)'", texts[0])
    name = target[1] if target else "_target_"
    if "Error locating target" in texts[0]:
        reasons = re.findall(r"(?:ModuleNotFoundError|AttributeError|ImportError)\(([\"'])(.*?)\1\)", " ".join(texts))
        return f"{name}: {reasons[-1][1] if reasons else 'there is no such class'}."
    return f"{name}: {texts[1]}." if is_wrong_call(error.__cause__) else None


def is_wrong_call(error: BaseException | None) -> bool:
    """Whether it is the TypeError of a call itself, made by Hydra, and not one of the code that was called."""
    frames = list(traceback.walk_tb(error.__traceback__)) if isinstance(error, TypeError) else []
    return bool(frames) and "hydra" in frames[-1][0].f_globals.get("__name__", "")


# the system


def full_disk(error: OSError, command: Command) -> str | None:
    return f"The disk is full ({error}). Free some space and start again." if is_full_disk(error) else None


EXPLANATIONS = {  # the first that fits
    OverrideParseException: unreadable_override,
    MissingConfigException: missing_config,
    InstantiationException: bad_target,
    HydraException: bad_composition,
    MissingMandatoryValue: missing_value,
    OmegaConfBaseException: bad_value,
    yaml.YAMLError: broken_yaml,
    OSError: full_disk,
}

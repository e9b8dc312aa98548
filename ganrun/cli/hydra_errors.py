"""Turns the errors of Hydra, OmegaConf and PyYAML into messages that say what to change."""

import re
import traceback
from collections.abc import Iterator
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from ganrun import files
from ganrun.cli.arguments import Command
from ganrun.config import docs, trainer_arguments
from ganrun.config.foreign_words import find_own_word
from ganrun.config.overrides import NAMES, OVERRIDE, config_dir_flags, override_keys, quote_override
from ganrun.data.roots import MissingRootError
from ganrun.errors import UserError, as_system_failure, did_you_mean, ganrun_command, shell_quote, suggest


def as_user_error(error: BaseException, command: Command) -> UserError | None:
    """Return the error as a UserError, or None if the program is at fault and not the user."""
    for cause in error_chain(error):
        if isinstance(cause, MissingRootError):
            return advise_new_root(cause, command)
        if isinstance(cause, UserError):
            return cause
    for kind, explain in EXPLANATIONS.items():
        if isinstance(error, kind):
            message = explain(error, command)
            return message and UserError(message)
    return as_system_failure(error)


def as_composition_error(error: BaseException, command: Command) -> UserError | None:
    """Do the same for an error before the first job: there, ValueError and OSError are mistakes of the user too."""
    known = as_user_error(error, command)
    return UserError(f"{first_line(error)}.") if known is None and isinstance(error, ValueError | OSError) else known


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, outermost first. Hydra wraps the errors of the classes that it builds."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def advise_new_root(error: UserError, command: Command) -> UserError:
    """Return the error of a run whose data are missing with the command that finds them in another place."""
    given = [*command.overrides, *command.changes]
    if command.run is None or override_keys(given) & {"data.root", "data"}:
        return error
    flags = config_dir_flags(command.flags)
    advised = ganrun_command(command.verb, command.run, *flags, *given, "data.root=NEW")
    return UserError(f"{error} If the data of the run have moved: {advised}")


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


SWEEP_VALUES = ("a,b,c", "range(1,5)", "choice(a,b)", "interval(0,1)", "tag(log,interval(1e-5,1e-2))", "glob(*)")


def unreadable_override(error: OverrideParseException, command: Command) -> str:
    match = OVERRIDE.match(error.override)
    if not match:
        return f"Cannot parse {error.override}: write settings as key=value."
    head, value = error.override[: match.start("value")], match["value"].strip("'\"")
    if value.startswith(("[", "{")) and value.count(value[0]) != value.count({"[": "]", "{": "}"}[value[0]]):
        return f'Cannot parse {error.override}: the "{value[0]}" is not closed.'
    if command.is_sweep and re.fullmatch(r"\w+\(.*\)", value):
        return f"Cannot parse {error.override}. Allowed in a sweep: {', '.join(SWEEP_VALUES)}."
    quoted = shell_quote(head + quote_override(value))
    return f"Cannot parse {error.override}. Quote a value with characters other than letters, digits, ./+-_: {quoted}"


def bad_composition(error: HydraException, command: Command) -> str:
    """Explain an error of Hydra's composition, whose kind only its text tells."""
    text = str(error)
    for pattern, explain in COMPOSITION.items():
        match = re.search(pattern, text, re.DOTALL)
        if match:
            return explain(match[1], error, command)
    lines = [first_line(cause) for cause in error_chain(error) if str(cause).strip()]
    return f"{[*lines, 'Cannot compose the config.'][0]} (see: ganrun {command.verb} --info defaults)"


def several_values(override: str, error: HydraException, command: Command) -> str:
    key, _, values = override.partition("=")
    single = shell_quote(f"{key}={quote_override(values)}" if key in NAMES else f"{key}=[{values}]")
    sweep = ganrun_command(command.verb, "-m", *command.overrides)
    return f"{override} has several values. For a single value: {single}. For a sweep, one job per value: {sweep}"


def already_exists(name: str, error: HydraException, command: Command) -> str:
    return f"The config already has {name}. Write {override_of(name, command)} without the +."


def nothing_to_delete(name: str, error: HydraException, command: Command) -> str:
    hint = did_you_mean(name, public_names(compose_choices(command)))
    return f"~{name}: the config has nothing of this name to delete.{hint if '=' not in name else ''}"


def other_value(key: str, error: HydraException, command: Command) -> str:
    fact = first_line(error).partition(". ")[2]
    return f"~{key} deletes the key only if it has the given value: {fact} To delete it anyway: ~{key}"


def wrong_value(override: str, error: HydraException, command: Command) -> str:
    reason = first_line(error.__cause__) if error.__cause__ else "the value does not fit"
    return f"{override}: {reason}."


def no_choice(group: str, error: HydraException, command: Command) -> str:
    return f"Choose a {group}: {group}=CHOICE. Allowed: {', '.join(docs.group_choices(group, conf_folders(command)))}."


def unused_group(group: str, error: HydraException, command: Command) -> str:
    match = re.match(r"In '(.+?)': ", str(error))
    file = f" (in {match[1]}.yaml)" if match else ""
    return f"This config has no group {group}{file}. To list its groups: ganrun {command.verb} --help"


def unknown_key(key: str, error: HydraException, command: Command) -> str:
    """Suggest similar keys at the level where the key leaves the config, or the same key elsewhere."""
    config = compose_choices(command)
    parts, node, depth = key.split("."), config, 0
    while isinstance(node, dict) and depth < len(parts) - 1 and parts[depth] in node:
        node, depth = node[parts[depth]], depth + 1
    level, wrong = ".".join(parts[:depth]), parts[depth]
    if isinstance(node, dict) and isinstance(node.get(wrong), dict):
        return f"{override_of(key, command)}: {key} has no such settings.{did_you_mean('', public_names(node[wrong]))}"
    if level and not isinstance(node, dict):
        return f"Unknown key {key}: {level} is a single value, {node}."
    names = public_names(node)
    if not level:
        choices = config.get("hydra", {}).get("runtime", {}).get("choices", {})
        names |= {group for group in choices if not group.startswith("hydra/")} - docs.HIDDEN_GROUPS
    takes_more = command.verb in ("train", "resume")  # for classes of the user's own
    same = [name for name in dotted_keys(config) if name.rpartition(".")[2] == parts[-1]]
    hint = suggest(same[:3]) or did_you_mean(wrong, names)
    full = f"{level}.{wrong}" if level else wrong
    own = find_own_word(command.verb, key, override_of(key, command).partition("=")[2]) if wrong == key else ""
    if own:
        return f"Unknown key {full}. In {'ganrun' if takes_more else f'ganrun {command.verb}'} it is {own}"
    if full in ("sweep.trials", "sweep.storage"):
        return f"{full} needs a search method: sweep=tpe, or random, sobol, cmaes."
    if full == "data.root":
        return (
            f"Unknown key data.root: data={config['data'].get('name')} reads no files of yours. For your own images: "
            f"data=folder {override_of('data.root', command)}"
        )
    if level == "trainer" and wrong in trainer_arguments.INSTEAD:
        return f"Unknown key {full}.{hint} {trainer_arguments.INSTEAD[wrong]}"
    return f"Unknown key {full}.{hint}" + (f" To add it: +{override_of(key, command)}" if takes_more else "")


def override_of(key: str, command: Command) -> str:
    """Return the command's override of a key or group, without +."""
    plain = (arg.lstrip("+") for arg in command.overrides)
    return next((arg for arg in plain if arg.partition("=")[0] == key), f"{key}=VALUE")


def public_names(node: Any) -> set[str]:
    return {str(name) for name in node if not str(name).startswith(("_", "hydra"))} if isinstance(node, dict) else set()


def dotted_keys(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, dict) and name != "hydra":
            yield from dotted_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def compose_choices(command: Command) -> dict:
    """Return the config, Hydra's own node included, with only the group choices applied. {} if that fails."""
    folders = conf_folders(command)
    choices = [arg for arg in command.overrides if docs.is_group(arg.partition("=")[0], folders)]
    overrides = [arg.partition(",")[0] for arg in choices]  # the first value of a sweep
    if len(folders) > 1:
        overrides.append(f"hydra.searchpath=['file://{folders[1].resolve()}']")
    try:
        with initialize_config_dir(config_dir=str(files.conf_dir()), version_base="1.3"):
            config: Any = OmegaConf.to_container(compose(command.verb, overrides, return_hydra_config=True))
            return config
    except Exception:
        return {}


def conf_folders(command: Command) -> list:
    return docs.conf_dirs(command.flags.get("--config-dir"))


COMPOSITION = {
    r"^Could not override '([^'@]+)'\.\nTo append to your config": unknown_key,
    r"Could not override '([^']+)'": unused_group,
    r"Ambiguous value for argument '(.*?)'\n": several_values,
    r"Sweep parameters '(.*)' requires": several_values,
    r"Multiple values for (\S+)\.": already_exists,
    r"An item is already at '(.*?)'": already_exists,
    r"Could not delete (?:from config\. )?'(.*?)'": nothing_to_delete,
    r"Could not delete from config\. The value of '(.*?)' is": other_value,
    r"^Error merging override (.*)": wrong_value,
    r"You must specify '(.*?)'": no_choice,
}


def missing_config(error: MissingConfigException, command: Command) -> str:
    group, _, name = (error.missing_cfg_file or "").partition("~")[0].rpartition("/")  # without network_parts.OF
    if not group:
        return f"No config {name}.yaml in {', '.join(map(str, conf_folders(command)))}."
    configs = [path for folder in conf_folders(command) for path in folder.glob("*/*.yaml")]
    users = [f" (chosen in {path})" for path in configs if docs.default_choices(path).get(group) == name]
    return f'Unknown {group} "{name}"{"".join(users[:1])}.{did_you_mean(name, error.options or [])}'


def missing_value(error: MissingMandatoryValue, command: Command) -> str:
    return f"{error.full_key} has no default: add {error.full_key}=VALUE."


def bad_value(error: OmegaConfBaseException, command: Command) -> str:
    suspects = [error.full_key] if error.full_key else [arg for arg in command.overrides if "${" in arg]
    prefix = "".join(f"{name}: " for name in suspects)
    return f"{prefix}{first_line(error)}. To print the config: ganrun {command.verb} --cfg job"


def broken_yaml(error: yaml.YAMLError, command: Command) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return f"A config is not valid YAML: {first_line(error)}."
    problem = getattr(error, "problem", None) or getattr(error, "context", None)
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {problem}."


def bad_target(error: InstantiationException, command: Command) -> str | None:
    """Explain a class that is not found or got wrong arguments. None if the class itself raised the error."""
    texts = [" ".join(str(cause).split()) for cause in error_chain(error)]
    target = re.search(r"target '(.*?)'", texts[0])
    name = target[1] if target else "_target_"
    if "Error locating target" in texts[0]:
        reasons = re.findall(r"(?:ModuleNotFoundError|AttributeError|ImportError)\(([\"'])(.*?)\1\)", " ".join(texts))
        return f"{name}: {reasons[-1][1] if reasons else 'no such class'}."
    cause = error.__cause__
    frames = list(traceback.walk_tb(cause.__traceback__)) if isinstance(cause, TypeError) else []
    is_call_of_hydra = bool(frames) and "hydra" in frames[-1][0].f_globals.get("__name__", "")
    return f"{name}: {texts[1]}." if is_call_of_hydra else None


EXPLANATIONS = {  # the first match is used
    OverrideParseException: unreadable_override,
    MissingConfigException: missing_config,
    InstantiationException: bad_target,
    HydraException: bad_composition,
    MissingMandatoryValue: missing_value,
    OmegaConfBaseException: bad_value,
    yaml.YAMLError: broken_yaml,
}

"""Hydra overrides as text: the key that one sets, quoting of values, and those that another command needs too."""

import os
import re
from collections.abc import Iterable, Mapping

from ganrun.config import docs
from ganrun.files import conf_dir

OVERRIDE = re.compile(r"(?P<sign>\+{1,2}|~)?(?P<key>[\w./@$-]+)=(?P<value>.*)", re.DOTALL)
UNQUOTED = re.compile(r"[\w./+-]*", re.ASCII)  # values that need no quotes
OTHER_THAN_TEXT = re.compile(
    r"[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d[\d_]*)?|[+-]?(inf|nan)|true|false|null", re.I
)
QUOTED = re.compile(r"\s*('([^'\\]|\\.)*'|\"([^\"\\]|\\.)*\")\s*", re.DOTALL)
SWEEP_FUNCTION = re.compile(r"\s*(choice|glob|range|interval|tag|shuffle|sort|extend_list)\(.*\)\s*", re.DOTALL)
PARTS = re.compile(r"(?:'[^']*'|\"[^\"]*\"|[^,'\"]|['\"])+")  # of a list, at its commas
NAMES = {"data.root": ("null", "["), "run": (), "input": ()}  # settings that name files: what else they may be
NAMES |= dict.fromkeys(("folder", "out", "pictures", "against", "sweep.name", "init_from", "license"), ("null",))


def override_keys(args: Iterable[str]) -> set[str]:
    """Return the keys that the arguments set; arguments that are not overrides are ignored."""
    return {match["key"] for arg in args if (match := OVERRIDE.match(arg))}


def is_override(arg: str) -> bool:
    return bool(OVERRIDE.match(arg) or re.fullmatch(r"~[\w.@]+", arg))


def with_default_experiment(verb: str, args: list[str]) -> list[str]:
    """Add experiment=digits to a `train` that names neither model, data nor experiment, and to a model alone its own.

    Remove experiment=null, which stands for none and which Hydra does not know.
    """
    given = override_keys(args) & {"model", "data", "experiment"}
    if verb == "train" and not given:
        return ["experiment=digits", *args]
    if verb == "train" and given == {"model"}:
        models = {name for arg in args if arg.startswith("model=") for name in arg.removeprefix("model=").split(",")}
        experiments = {own_experiment(name) for name in models}
        if len(experiments) == 1 and (name := experiments.pop()):
            return [f"experiment={name}", *args]
    return [arg for arg in args if arg != "experiment=null"]


def own_experiment(model: str) -> str | None:
    """Return the experiment in conf/ that has the name of the model, or of conf/model/base/NAME that it builds on."""
    path = conf_dir() / "model" / f"{model}.yaml"
    if not path.is_file():
        return None
    names = [model, *(name.removeprefix("base/") for name in docs.parent_names(path) if name.startswith("base/"))]
    return next((name for name in names if (conf_dir() / "experiment" / f"{name}.yaml").is_file()), None)


def repeatable_overrides(verb: str, args: list[str]) -> list[str]:
    """Return overrides that mean the same when they are parsed as a command again: without a default experiment."""
    return [*args, "experiment=null"] if with_default_experiment(verb, args) != args else [*args]


def config_dir_flags(flags: Mapping[str, str]) -> list[str]:
    """Return the flags that say where configs are, for a command that this one starts."""
    return [arg for name, value in flags.items() if name == "--config-dir" for arg in (name, value)]


def search_path_overrides(overrides: Iterable[str]) -> list[str]:
    """Return those of Hydra's own overrides that say where configs are."""
    return [override for override in overrides if override.lstrip("+").startswith("hydra.searchpath=")]


def expand_home(arg: str) -> str:
    """Expand ~ at the start of a value, as in data.root=~/celeba, which neither shells nor Hydra do."""
    match = OVERRIDE.match(arg)
    if not match or not re.match(r"~(/|$)", match["value"]):
        return arg
    path = os.path.expanduser(match["value"])
    return arg[: match.start("value")] + (path if UNQUOTED.fullmatch(path) else quote_value(path))


def take_names_literally(arg: str, is_sweep: bool) -> str:
    """Return an override of a setting that names a file, folder or license so that Hydra reads the name as written.

    Unquoted, Hydra takes 2024, 1e5, true or [x] for other things than names, and stops at spaces, quotes and `=`.
    Other overrides stay. is_sweep: commas separate values; else they only do so if there is no file of the whole name.
    """
    match = OVERRIDE.match(arg)
    if not match or match["sign"] == "~" or match["key"] not in NAMES:
        return arg
    value, others = match["value"], NAMES[match["key"]]
    is_function = is_sweep and SWEEP_FUNCTION.fullmatch(value)
    if is_function or "${" in value or "\\" in value:  # Hydra's own notations
        return arg
    head = arg[: match.start("value")]
    if "[" in others and value.startswith("[") and value.endswith("]") and not os.path.exists(value):
        return f"{head}[{','.join(quote_name(part, others) for part in PARTS.findall(value[1:-1]))}]"
    if "," in value and not QUOTED.fullmatch(value) and not os.path.exists(value):
        return head + ",".join(quote_name(part, others) for part in PARTS.findall(value)) if is_sweep else arg
    return head + quote_name(value, others)


def quote_name(name: str, others: tuple[str, ...] = ()) -> str:
    """Return a name for Hydra, in quotes if it needs them. others: texts that stand for something else."""
    if QUOTED.fullmatch(name) or name.strip().lower() in others:
        return name
    name = os.path.expanduser(name)
    is_text = UNQUOTED.fullmatch(name) and not OTHER_THAN_TEXT.fullmatch(name)
    return name if is_text else quote_override(name)


def quote_override(text: str) -> str:
    """Return the text as an override's value, quoted so that Hydra reads this string and not a number or list."""
    return quote_value(text.replace("${", "\\${"))


def quote_value(text: str) -> str:
    """Return the text as a quoted string of Hydra's override grammar."""
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", re.sub(r"(\\+)$", r"\1\1", text)) + "'"

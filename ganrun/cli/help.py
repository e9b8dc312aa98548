"""The texts of help and list, made from the configs' own comments."""

import os
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from ganrun import __version__
from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean

LISTED_FIRST = ["model", "network", "data", "metrics", "protocol"]  # listed first, the other groups after them

OVERVIEW = """\
ganrun {version}: trains, scores, samples and compares generative adversarial networks.

usage: ganrun VERB [RUN] [key=value ...]

{verbs}

RUN is a run folder, a checkpoint file or the word last (the newest run).

examples
  ganrun train                                 DCGAN on the shipped digits
  ganrun train model=cgan data=digits          a digit per row
  ganrun train model=wgan network=mlp minutes=10
  ganrun train -m model=gan,wgan data=ring     one run after the other
  ganrun sample last                           pictures from the newest run
  ganrun eval last which=best                  scores of its best checkpoint
  ganrun eval --folder A --against B           scores of two folders of pictures
  ganrun list model                            the models, a line each

more
  ganrun VERB --help                           examples, choices and keys of a verb
  ganrun train dry_run=true                    show the plan and stop
  eval "$(ganrun -sc install=bash)"            completion, for zsh too; fish: ganrun -sc install=fish | source
"""

SWEEP_HELP = """\
usage: ganrun sweep NAME                             show its leaderboard
       ganrun sweep resume NAME [sweep.key=value]    train what is left of it; failed jobs are tried again

NAME is a folder, a name in outputs/sweeps, or last. A sweep begins with -m, and goes on with the same command:

  ganrun train -m model=gan,wgan data=ring seed=1,2,3
  ganrun train -m model=wgan data=digits 'optimizer.lr=tag(log,interval(1e-5,1e-2))' sweep=tpe sweep.trials=30
  ganrun train -m model=dcgan,wgan data=digits sweep.seeds=5 sweep.jobs=2
  ganrun list sweep                                  the ways to choose points

"""

COMPARE_HELP = """\
usage: ganrun compare RUN RUN ... [metric=val/fd_lenet] [out=FOLDER]
       ganrun compare SWEEP

Shows the settings in which runs differ and ranks them by their best scores, several seeds of one setting by the mean.
Runs whose scores were measured otherwise (other data, extractor, resize or counts) are not ranked together, and it says
why. A page with their curves and samples goes to out= (outputs/compare/<time>).
"""

FLAGS_HELP = """\
more
  group=choice                one file of a group, as in model=wgan; ganrun list GROUP says a line on each
  group=choice --help         adds the keys of that choice, as in: ganrun train model=wgan --help
  +key=value                  add a key that the configs do not have, say for a class of your own
  -m, --multirun              one job for every combination of a=1,2 b=3,4
  --cfg job                   print the whole config and stop (--resolve fills in the ${...})
  --config-dir FOLDER         look for configs in FOLDER too, as FOLDER/model/mine.yaml
  --info defaults             print where the config comes from
  ganrun -sc install=SHELL    completion: eval "$(ganrun -sc install=bash)", the same for zsh; fish: | source
"""


def overview(verbs: Mapping) -> str:
    """The text of a bare `ganrun`."""
    names = {name: f"{name} RUN" if verb.takes_run else name for name, verb in verbs.items()}
    lines = [f"  {names[name]:<15}{verb.word}" for name, verb in verbs.items()]
    return OVERVIEW.format(version=__version__, verbs="\n".join(lines))


def list_choices(words: list[str], folders: list[Path]) -> str:
    """The choices of one group or of all, a line each."""
    groups = sort_groups(docs.group_names(folders))
    for word in words:
        if word not in groups:
            raise UserError(f'There is no group "{word}" to list.{did_you_mean(word, groups)}')
    return "\n".join(group_lines(group, folders) for group in words or groups)


def sort_groups(groups: Iterable[str]) -> list[str]:
    return sorted(
        groups, key=lambda group: (LISTED_FIRST.index(group) if group in LISTED_FIRST else len(LISTED_FIRST), group)
    )


def group_lines(group: str, folders: list[Path]) -> str:
    choices = docs.group_choices(group, folders)
    width = max(len(name) for name in choices) + 2
    lines = [f"  {name:<{width}}{docs.one_line_summary(path)}".rstrip() for name, path in choices.items()]
    return "\n".join([f"{group}=", *lines, ""])


def verb_help(verb: str, row, words: list[str], folders: list[Path]) -> str:
    """The text of `ganrun VERB --help`: examples, groups, keys; `words` like model=wgan add the keys of that choice."""
    path = folders[0] / f"{verb}.yaml"
    if verb == "sweep":
        base = folders[0] / "sweep/base"
        own = key_section("settings of a sweep", docs.documented_keys(base / "settings.yaml"), "sweep.")
        searched = key_section(
            "and of a search (sweep=tpe and others)", docs.documented_keys(base / "search.yaml"), "sweep."
        )
        return f"{SWEEP_HELP}{own.rstrip()}\n\n{searched}"
    if verb == "compare":
        return COMPARE_HELP
    if not row.is_hydra:
        return f"ganrun {verb} [GROUP] [--config-dir FOLDER]: {row.word}.\n\n" + group_names(folders)
    run = " RUN" if row.takes_run else ""
    parts = [
        "\n".join([f"usage: ganrun {verb}{run} [key=value ...]", "", *docs.header_comment(path)]),
        group_section(path, folders),
        key_section("keys", docs.documented_keys(path)),
        *(choice_section(word, folders) for word in words),
        FLAGS_HELP,
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def group_names(folders: list[Path]) -> str:
    names = ", ".join(sort_groups(docs.group_names(folders)))
    return f"GROUP is one of {names}.\n"


def group_section(path: Path, folders: list[Path]) -> str:
    chosen = reachable_groups(path, folders)
    if not chosen:
        return ""
    width = max(map(len, chosen)) + 3
    lines = ["groups, with their choices (the default in brackets)"]
    for group in sort_groups(chosen):
        names = [f"[{name}]" if name == chosen[group] else name for name in docs.group_choices(group, folders)]
        lines += wrap_text(f"  {group + '=':<{width}}", ", ".join(names))
    return "\n".join(lines)


def reachable_groups(path: Path, folders: list[Path]) -> dict[str, str | None]:
    """The groups that can be chosen: those of the file's defaults list, and those that its default choices choose."""
    chosen = docs.default_choices(path)
    for group, choice in list(chosen.items()):
        file = docs.group_choices(group, folders).get(choice)
        chosen |= docs.default_choices(file) if file else {}
    known = docs.group_names(folders)
    return {group: choice for group, choice in chosen.items() if group in known}


def key_section(title: str, keys: list[docs.DocumentedKey], prefix: str = "") -> str:
    if not keys:
        return ""
    names = [f"{prefix}{key.name}={format_default(key.default)}" for key in keys]
    width = min(34, max(map(len, names)) + 2)
    lines = [title]
    for name, key in zip(names, keys, strict=True):
        lines += wrap_text(f"  {name:<{width}}" if len(name) < width else f"  {name}  ", key.word, indent=width + 2)
    return "\n".join(lines)


def format_default(default: str) -> str:
    """A default as people say it: ${hydra:runtime.choices.model} -> <model>, ??? -> nothing."""
    default = re.sub(r"\$\{hydra:runtime\.choices\.(\w+)\}", r"<\1>", default)
    return re.sub(r"\$\{now:[^}]*\}", "<time>", default).replace("???", "")


def choice_section(word: str, folders: list[Path]) -> str:
    group, _, choice = word.partition("=")
    file = docs.group_choices(group, folders).get(choice) if docs.is_group(group, folders) else None
    if file is None:
        return ""
    return key_section(f"keys of {word}", docs.documented_keys(file), docs.key_prefix(group, file))


def wrap_text(head: str, text: str, indent: int | None = None) -> list[str]:
    """The text after its head, on as many lines as it needs; the later ones indented like the first."""
    indent = len(head) if indent is None else indent
    return textwrap.wrap(head + text, line_width(), subsequent_indent=" " * indent, break_on_hyphens=False) or [head]


def line_width() -> int:
    try:
        return max(60, min(120, os.get_terminal_size().columns))
    except OSError:
        return 110

"""The texts of `--help` and `list`, built from the comments in the configs."""

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from ganrun import __version__
from ganrun.cli import run_help
from ganrun.config import docs
from ganrun.errors import UserError, did_you_mean
from ganrun.files import outputs_dir

FIRST_GROUPS = ["model", "network", *docs.NETWORK_PARTS, "data", "metrics", "protocol"]  # listed before the others

OVERVIEW = """\
ganrun {version}: train, score, sample and compare generative adversarial networks (GANs).

usage: ganrun COMMAND [RUN] [key=value ...]

{verbs}

RUN is a run folder, a checkpoint file or the word last (the newest run).

examples
  ganrun train                                 DCGAN on the digits that come with ganrun
  ganrun train model=cgan data=digits          conditional GAN: one digit per row of samples
  ganrun train model=wgan network=mlp minutes=10
  ganrun train -m model=gan,wgan data=ring     a sweep: one run for each model
  ganrun sample last                           images from the newest run
  ganrun eval last which=best                  scores of its best checkpoint
  ganrun eval --folder A --against B           scores of the images in A, compared with those in B
  ganrun list model                            all models, with one line about each
  ganrun runs                                  all runs, and what they are doing

more
  ganrun COMMAND --help                        examples, choices and settings of a command
  ganrun train dry_run=true                    print the plan of a run and stop
  eval "$(ganrun -sc install=bash)"            shell completion; zsh likewise; fish: ganrun -sc install=fish | source
"""

SWEEP_HELP = """\
usage: ganrun sweep NAME                             show the leaderboard of a sweep
       ganrun sweep resume NAME [sweep.key=value]    train the jobs that are left, and retry those that failed

NAME is a folder, a name in outputs/sweeps, or last. Start a sweep with train -m. The same command continues it:

  ganrun train -m model=gan,wgan data=ring seed=1,2,3
  ganrun train -m model=wgan data=digits 'optimizer.lr=tag(log,interval(1e-5,1e-2))' sweep=tpe sweep.trials=30
  ganrun train -m model=dcgan,wgan data=digits sweep.seeds=5 sweep.jobs=2
  ganrun list sweep                                  the search methods

"""

COMPARE_HELP = """\
usage: ganrun compare RUN OTHER ... [metric=val/fd_lenet] [out=FOLDER]
       ganrun compare SWEEP

Print the settings in which the runs differ, and rank the runs by their best scores. Runs that differ only in the seed
are ranked by their mean score. Scores that were measured differently (other data, feature extractor, resizing or sample
counts) are ranked separately, and the output says why. A page with the loss curves and samples is written to out=
(default: outputs/compare/<time>).
"""

FLAGS_HELP = """\
more
  group=choice                select one config of a group, as in model=wgan; ganrun list GROUP describes them
  group=choice --help         add the settings of that choice, as in: ganrun train model=wgan --help
  +key=value                  add a key that the configs do not have, for example for a class of your own
  -m, --multirun              a sweep: one job for every combination of a=1,2 b=3,4
  --cfg job                   print the whole config and stop (--resolve fills in the ${...})
  --config-dir FOLDER         also look for configs in FOLDER, for example FOLDER/model/mine.yaml
  --info defaults             print which config files are used
  ganrun -sc install=SHELL    shell completion: eval "$(ganrun -sc install=bash)"; zsh likewise; fish: | source
"""


def overview(verbs: Mapping) -> str:
    """Return the text of a bare `ganrun`."""
    lines = [f"  {name + ' RUN' * verb.takes_run:<15}{verb.summary}" for name, verb in verbs.items()]
    return OVERVIEW.format(version=__version__, verbs="\n".join(lines))


def list_choices(asked: list[str], folders: list[Path]) -> str:
    """Return the choices of the groups in `asked`, or of all groups, one per line. UserError for an unknown group."""
    groups = sort_groups(docs.group_names(folders))
    for name in asked:
        if name not in groups:
            raise UserError(f'Unknown group "{name}".{did_you_mean(name, groups)}')
    lines = []
    for group in asked or groups:
        choices = docs.group_choices(group, folders)
        width = max(map(len, choices)) + 2
        lines.append(f"{group}=")
        lines += [f"  {name:<{width}}{docs.one_line_summary(path)}".rstrip() for name, path in choices.items()]
        lines.append("")
    return "\n".join(lines)


def sort_groups(groups: Iterable[str]) -> list[str]:
    rank = {group: i for i, group in enumerate(FIRST_GROUPS)}
    return sorted(groups, key=lambda group: (rank.get(group, len(rank)), group))


def verb_help(name: str, verb, args: list[str], folders: list[Path]) -> str:
    """Return the text of `ganrun VERB --help`. Arguments like model=wgan add the settings of that choice."""
    if name == "sweep":
        base = folders[0] / "sweep/base"
        grid, search = (docs.documented_keys(base / f"{file}.yaml") for file in ("settings", "search"))
        sections = key_section("settings of a sweep", grid, "sweep.")
        return f"{SWEEP_HELP}{sections}\n\n{key_section('settings of a search (sweep=tpe etc.)', search, 'sweep.')}\n"
    if name in run_help.TEXTS:
        return run_help.TEXTS[name]
    if name == "compare":
        return COMPARE_HELP
    if not verb.is_hydra:
        groups = ", ".join(sort_groups(docs.group_names(folders)))
        return f"usage: ganrun {name} [GROUP] [--config-dir FOLDER]\n\nGROUP is one of {groups}.\n"
    path = folders[0] / f"{name}.yaml"
    usage = f"usage: ganrun {name}{' RUN' if verb.takes_run else ''} [key=value ...]"
    parts = [
        "\n".join([usage, "", *docs.header_comment(path)]),
        group_section(path, folders),
        key_section("settings", docs.documented_keys(path)),
        *(choice_section(arg, folders) for arg in args),
        FLAGS_HELP,
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def group_section(path: Path, folders: list[Path]) -> str:
    """Return the choices of the groups in the file's defaults list, and of those that its default choices bring in."""
    chosen = docs.default_choices(path)
    for group, choice in list(chosen.items()):
        file = docs.group_choices(group, folders).get(choice)
        chosen |= docs.default_choices(file) if file else {}
    chosen |= dict.fromkeys(docs.NETWORK_PARTS, "") if "model" in chosen else {}
    groups = sort_groups(chosen.keys() & {*docs.group_names(folders)})
    width = max(map(len, groups), default=0) + 3
    lines = ["config groups and their choices ([default])"] if groups else []
    for group in groups:
        names = [f"[{name}]" if name == chosen[group] else name for name in docs.group_choices(group, folders)]
        lines += wrap_text(f"  {group + '=':<{width}}", ", ".join(names))
    return "\n".join(lines)


def key_section(title: str, keys: list[docs.DocumentedKey], prefix: str = "") -> str:
    if not keys:
        return ""
    names = [f"{prefix}{key.name}={format_default(key.default)}" for key in keys]
    width = min(34, max(map(len, names)) + 2)
    lines = [title]
    for name, key in zip(names, keys, strict=True):
        lines += wrap_text(f"  {name:<{width}}" if len(name) < width else f"  {name}  ", key.comment, indent=width + 2)
    return "\n".join(lines)


def format_default(default: str) -> str:
    """Shorten a default: ${hydra:runtime.choices.model} -> <model>, ??? -> nothing."""
    default = default.replace("${outputs_dir:}", str(outputs_dir()))
    default = re.sub(r"\$\{hydra:runtime\.choices\.(\w+)\}", r"<\1>", default)
    return re.sub(r"\$\{now:[^}]*\}", "<time>", default).replace("???", "")


def choice_section(arg: str, folders: list[Path]) -> str:
    """Return the settings of a choice like model=wgan, "" for another argument."""
    group, _, choice = arg.partition("=")
    file = docs.group_choices(group, folders).get(choice) if docs.is_group(group, folders) else None
    if file is None:
        return ""
    settings = key_section(f"settings of {arg}", docs.choice_keys(group, file))
    choices = [
        f"{name}={choice}" for name, choice in docs.default_choices(file).items() if not name.startswith("hydra")
    ]
    return f"{settings}\n" + "\n".join(wrap_text("  with ", ", ".join(choices))) if choices else settings


def wrap_text(head: str, text: str, indent: int | None = None) -> list[str]:
    """Wrap head + text at the terminal's width. Later lines are indented by `indent`, or like the text."""
    indent = len(head) if indent is None else indent
    width = max(60, min(120, shutil.get_terminal_size((110, 24)).columns))
    return textwrap.wrap(head + text, width, subsequent_indent=" " * indent, break_on_hyphens=False) or [head]

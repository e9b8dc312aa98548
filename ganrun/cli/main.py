"""The command line: finds the verb and hands over to the module that does it. Help imports neither torch nor Hydra."""

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from ganrun.errors import Interrupted, UserError


class Verb(NamedTuple):
    word: str  # what it does, for the help
    takes_run: bool = False  # its first argument is a run folder, a checkpoint file or `last`
    is_hydra: bool = True  # conf/VERB.yaml and ganrun/commands/VERB.py belong to it


VERBS = {
    "train": Verb("train a model on a data set"),
    "resume": Verb("go on with a training that was interrupted", takes_run=True),
    "eval": Verb("score a trained model, or two folders of pictures", takes_run=True),
    "sample": Verb("draw pictures from a trained model", takes_run=True),
    "translate": Verb("translate pictures from one domain to the other", takes_run=True),
    "sweep": Verb("show a sweep, or go on with it", is_hydra=False),
    "compare": Verb("set runs, or the runs of a sweep, beside each other", is_hydra=False),
    "list": Verb("show models, networks, data sets, metrics and the other choices", is_hydra=False),
}
PLAIN_VERBS = ("sweep", "compare")  # verbs without a config: ganrun/commands/VERB.py has main(words)


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong usage or config, 130 interrupted, 143 terminated."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"ganrun: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as error:
        if error.exit_code:  # else a rank that another process has started
            print(f"ganrun: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ganrun: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `ganrun list | head` closes the pipe early, and Python's flush at exit would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def dispatch(words: list[str]) -> int:
    first = words[0] if words else "--help"
    if first in ("-h", "--help"):
        return print_overview()
    if first == "--version":
        return print_version()
    if first in ("-sc", "--shell-completion"):
        from ganrun.cli import completion

        return completion.run_completion(words[1:], VERBS)
    if first not in VERBS:
        from ganrun.cli import arguments

        raise arguments.unknown_verb(first, VERBS)
    return run_verb(first, words[1:])


def print_overview() -> int:
    from ganrun.cli import help

    sys.stdout.write(help.overview(VERBS))
    return 0


def print_version() -> int:
    from ganrun import __version__

    sys.stdout.write(f"ganrun {__version__}\n")
    return 0


def run_verb(verb: str, words: list[str]) -> int:
    from ganrun.cli import arguments

    flags, others = arguments.parse_flags(words)
    if verb in PLAIN_VERBS and "--help" not in flags:
        from importlib import import_module

        return import_module(f"ganrun.cli.commands.{verb}").main(others)
    others += arguments.pop_folder_flags(verb, flags)
    if not VERBS[verb].is_hydra or "--help" in flags:
        return print_choices_or_help(verb, flags, others)
    command = arguments.parse_command(verb, VERBS[verb].takes_run, flags, others)

    from ganrun.cli import hydra_app

    return hydra_app.run_command(command)


def print_choices_or_help(verb: str, flags: dict[str, str], others: list[str]) -> int:
    from ganrun.cli import help
    from ganrun.config import docs

    folders = docs.conf_dirs(flags.get("--config-dir"))
    is_help = "--help" in flags
    text = help.verb_help(verb, VERBS[verb], others, folders) if is_help else help.list_choices(others, folders)
    sys.stdout.write(text)
    return 0

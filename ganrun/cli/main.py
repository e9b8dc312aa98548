"""The command line: finds the verb and hands over to its module. Help imports neither torch nor Hydra."""

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn

from ganrun import __version__
from ganrun.cli import arguments, completion, environment, help
from ganrun.cli.output import check_stdout, prepare_streams
from ganrun.config import docs
from ganrun.errors import (
    Interrupted,
    UserError,
    as_system_failure,
    end_process,
    heeded_signals,
    interrupted_by,
    print_error,
    print_text,
    print_traceback,
)
from ganrun.files import outputs_dir


class Verb(NamedTuple):
    """A verb of the command line.

    summary: its line in the help.  takes_run: its first argument is a run folder, a checkpoint file or `last`.
    is_hydra: its config is conf/VERB.yaml and ganrun/cli/commands/VERB.py has run(cfg, folder).
    flags: that a verb without a config takes besides --help.
    """

    summary: str
    takes_run: bool = False
    is_hydra: bool = True
    flags: tuple[str, ...] = ()


VERBS = {
    "train": Verb("train a model on a data set"),
    "resume": Verb("continue an interrupted training run", takes_run=True),
    "eval": Verb("score a trained or exported model, or image folders", takes_run=True),
    "sample": Verb("generate images with a trained model", takes_run=True),
    "look": Verb("look at paths, codes, means and neighbours of a trained model", takes_run=True),
    "play": Verb("sliders for a trained model, in a browser", takes_run=True),
    "translate": Verb("translate images from one domain to the other", takes_run=True),
    "quiz": Verb("let people tell generated pictures from real ones", takes_run=True),
    "export": Verb("write a trained model for use without ganrun", takes_run=True),
    "sweep": Verb("show the results of a sweep, or continue it", is_hydra=False),
    "compare": Verb("compare runs, or the runs of a sweep", is_hydra=False),
    "runs": Verb("list runs, tag, compare and remove them", is_hydra=False, flags=("--json", "--yes")),
    "status": Verb("show all that is known of a run", takes_run=True, is_hydra=False, flags=("--json",)),
    "logs": Verb("show the messages of a run", takes_run=True, is_hydra=False, flags=("--follow",)),
    "save": Verb("have a running training save a checkpoint now", takes_run=True, is_hydra=False),
    "stop": Verb("end a running training, which saves first", takes_run=True, is_hydra=False),
    "list": Verb("list models, networks, data sets, metrics and other choices", is_hydra=False),
}
PLAIN_VERBS = (
    "sweep",
    "compare",
    "runs",
    "status",
    "logs",
    "save",
    "stop",
)  # verbs without a config: ganrun/cli/commands/VERB.py has main(args)


def run_program() -> NoReturn:
    """Run the command of this process and end it."""
    try:
        code = main()
    except SystemExit as error:  # of a library
        code = error.code
    if is_observed():
        sys.exit(code)
    end_process(code)


def is_observed() -> bool:
    """Return whether a profiler, debugger or coverage tool runs this program, which has work left at its end."""
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring else []
    return any([sys.gettrace(), sys.getprofile(), *tools])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Return its exit code.

    0 done, 1 failed, 2 wrong usage or config, 129 hung up, 130 interrupted, 143 terminated.
    """
    prepare_streams()
    try:
        # SIGINT raises KeyboardInterrupt; an application that calls this may have handlers of its own
        with interrupted_by(signum for signum in heeded_signals() if signal.getsignal(signum) == signal.SIG_DFL):
            code = dispatch(list(sys.argv[1:] if argv is None else argv))
            check_stdout()
            return code
    except (UserError, Interrupted) as error:
        if error.exit_code:  # Interrupted has 0 on a rank that another process started
            print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print_error("interrupted")
        return 130
    except BrokenPipeError:  # `ganrun list | head` closes the pipe early; Python's flush at exit would fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if failure := as_system_failure(error):
            print_error(failure)
            return failure.exit_code
        print_traceback(error)
        return 1


def dispatch(args: list[str]) -> int:
    environment.check_encoding([*args, str(outputs_dir())])
    environment.check_rank_variables(os.environ)
    first = args[0] if args else "--help"
    if first in VERBS:
        return run_verb(first, args[1:])
    if first in ("-sc", "--shell-completion"):
        return completion.run_completion(args[1:], VERBS)
    if first not in ("-h", "--help", "--version"):
        raise arguments.unknown_verb(first, VERBS)
    print_text(f"ganrun {__version__}\n" if first == "--version" else help.overview(VERBS))
    return 0


def run_verb(verb: str, args: list[str]) -> int:
    if verb in PLAIN_VERBS:
        parsed = arguments.parse_own_flags(verb, args, VERBS[verb].flags)
        if "--help" not in parsed:
            return import_module(f"ganrun.cli.commands.{verb}").main(parsed)
        args = ["--help"]
    flags, others = arguments.parse_flags(verb, args)
    is_help = "--help" in flags
    others += arguments.pop_folder_flags(verb, flags)
    if is_help or verb == "list":
        folders = docs.conf_dirs(flags.get("--config-dir"))
        text = help.verb_help(verb, VERBS[verb], others, folders) if is_help else help.list_choices(others, folders)
        print_text(text)
        return 0
    command = arguments.parse_command(verb, VERBS[verb].takes_run, flags, others)

    from ganrun.cli import hydra_app

    return hydra_app.run_command(command)

"""ganrun runs: lists runs and what they are doing, and removes, tags and compares them."""

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from ganrun.cli.arguments import is_set, split_settings
from ganrun.cli.runs.difference import format_difference
from ganrun.cli.runs.remove import remove_after_question
from ganrun.cli.runs.table import describe_use, format_json, format_runs, terminal_width
from ganrun.errors import UserError, did_you_mean, ganrun_command, print_error, print_text, printable
from ganrun.files import outputs_dir
from ganrun.terminal import configure_logging
from ganrun.training.run_folder import check_contents
from ganrun.training.runs.find import find_run_folder, iterate_run_folders
from ganrun.training.runs.overview import RunOverview, read_overview
from ganrun.training.runs.removal import check_removable
from ganrun.training.runs.states import RunState
from ganrun.training.runs.tags import change_tags

CLEANED = (RunState.DEAD, RunState.FAILED, RunState.EMPTY)


def main(args: Sequence[str]) -> int:
    """List the runs below a folder, or do what the first argument says. Return the exit code."""
    configure_logging()
    first, *rest = args or [""]
    if first in ACTIONS:
        return ACTIONS[first](rest)
    return list_runs(args)


def list_runs(args: Sequence[str]) -> int:
    """Print the runs below a folder. Settings: state= and tag= select some of them."""
    names, settings, flags = read_arguments("runs", args, ("state", "tag"), ("--json",))
    runs = select_runs(read_runs(single_folder("runs", names)), settings)
    if "--json" in flags:
        print_text(format_json(runs))
    elif runs:
        print_text(format_runs(runs, terminal_width()))
    else:
        start = f" Start one: {ganrun_command('train')}" if not settings else ""
        print_text(f"There is no such run below {(names or [outputs_dir()])[0]}.{start}\n")
    return 0


def read_arguments(
    verb: str, args: Sequence[str], settings: Sequence[str] = (), flags: Sequence[str] = ()
) -> tuple[list[str], dict[str, str], set[str]]:
    """Return the names, settings and flags among the arguments. Raises UserError for others than these."""
    given = {arg for arg in args if arg.startswith("--")}
    if wrong := given - {*flags}:
        takes = f"It takes {', '.join(flags)}." if flags else "It takes none."
        raise UserError(f"ganrun {verb} has no flag {min(wrong)}. {takes}")
    return *split_settings(verb, [arg for arg in args if arg not in given], settings), given


def single_folder(verb: str, names: Sequence[str]) -> Path:
    """Return the folder in which runs are looked for. Raises UserError if it is missing."""
    if len(names) > 1:
        raise UserError(
            f'ganrun {verb} looks below one folder, and got {len(names)}: "{names[0]}", "{names[1]}". To do more with '
            f"single runs: ganrun runs {', '.join(ACTIONS)}"
        )
    folder = Path(names[0]) if names else outputs_dir()
    if names and not folder.is_dir():
        near = did_you_mean(names[0], ACTIONS) if "/" not in names[0] else ""
        raise UserError(f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}.{near}")
    return folder


def read_runs(folder: Path) -> list[RunOverview]:
    """Return the runs below a folder, those that live first, then the newest. Folders that are closed are named."""
    closed: list[OSError] = []
    runs = [read_overview(each) for each in iterate_run_folders(folder, closed)]
    for error in closed if folder.exists() else ():
        print_error(f"{error.filename} cannot be listed: {error.strerror}.")
    return sorted(runs, key=lambda run: (not run.state.is_live, -run.changed))


def select_runs(runs: Sequence[RunOverview], settings: dict[str, str]) -> list[RunOverview]:
    """Return the runs in one of the states, with all of the tags. Raises UserError for an unknown state."""
    states = settings["state"].split(",") if "state" in settings else [*RunState]
    for state in states:
        if state not in [*RunState]:
            raise UserError(f"state={state} is unknown.{did_you_mean(state, RunState)}")
    tags = {*filter(None, settings.get("tag", "").split(","))}
    return [run for run in runs if run.state in states and tags <= {*run.tags}]


def remove(args: Sequence[str]) -> int:
    """Remove the named runs. All are checked before the first is removed."""
    names, settings, flags = read_arguments("runs rm", args, ("all",), ("--yes",))
    if not names:
        raise UserError("runs rm needs run folders, as in: ganrun runs rm outputs/train/gan-ring/2026-01-31-120000")
    takes_all = is_set(settings, "all")
    folders = [*dict.fromkeys(Path(name) if name != "last" else find_run_folder(name) for name in names)]
    for folder in folders:
        if not folder.is_symlink():
            find_run_folder(str(folder))
        check_removable(folder, takes_all)
    command = ganrun_command("runs", "rm", *folders, *(["all=true"] if takes_all else []), "--yes")
    return remove_after_question([*map(read_overview, folders)], command, "--yes" in flags, takes_all)


def clean(args: Sequence[str]) -> int:
    """Remove the runs below a folder that are dead, failed or empty; those that can be resumed only if told so."""
    names, settings, flags = read_arguments("runs clean", args, ("resumable",), ("--yes",))
    takes_resumable = is_set(settings, "resumable")
    folder = single_folder("runs clean", names)
    runs = [run for run in read_runs(folder) if is_cleaned(run) and is_inside(run.folder, folder)]
    if kept := [run for run in runs if run.disk.checkpoints and not takes_resumable]:
        advice = ganrun_command("runs", "clean", *names, "resumable=true")
        names_kept = ", ".join(printable(run.folder) for run in kept)
        print_error(f"left out as they can be resumed: {names_kept}. With them: {advice}")
        runs = [run for run in runs if run not in kept]
    for run in [*runs]:
        try:
            check_removable(run.folder)
        except UserError as error:
            print_error(f"left out: {printable(error)}")
            runs.remove(run)
    if not runs:
        others = "no other" if kept else "no"
        print_text(f"There is nothing to clean below {folder}: {others} run there is dead, failed or empty.\n")
        return 0
    command = ganrun_command("runs", "clean", *names, *(["resumable=true"] if takes_resumable else []), "--yes")
    return remove_after_question(runs, command, "--yes" in flags)


def is_cleaned(run: RunOverview) -> bool:
    """Return whether a run is dead, has failed, or was interrupted before it saved anything."""
    is_empty = run.state in (RunState.INTERRUPTED, RunState.DAMAGED) and not run.disk.checkpoints
    return run.state in CLEANED or (is_empty and run.kimg == 0)


def is_inside(run: Path, folder: Path) -> bool:
    """Return whether a run really lies in the folder, and no link led out of it."""
    return run.resolve().is_relative_to(folder.resolve())


def show_use(args: Sequence[str]) -> int:
    """Print how much of the disk each run below a folder takes, the largest first."""
    names, *_ = read_arguments("runs du", args)
    folder = single_folder("runs du", names)
    runs = sorted(read_runs(folder), key=attrgetter("disk.total"), reverse=True)
    print_text(describe_use(runs) if runs else f"There is no run below {folder}.\n")
    return 0


def tag(args: Sequence[str]) -> int:
    """Add and remove tags of a run, and print those that it has."""
    names, settings, _ = read_arguments("runs tag", args, ("remove",))
    if not names:
        raise UserError("runs tag needs a run, as in: ganrun runs tag last baseline")
    folder = find_run_folder(names[0], uses_registry=True)
    removed = [*filter(None, settings.get("remove", "").split(","))]
    tags = change_tags(folder, names[1:], removed)
    print_text(f"{folder}: {', '.join(tags) if tags else 'no tags'}\n")
    return 0


def show_difference(args: Sequence[str]) -> int:
    """Print the settings in which two runs differ, and their scores."""
    names, settings, _ = read_arguments("runs diff", args, ("trust",))
    if len(names) != 2:
        raise UserError(f"runs diff needs two runs, got {len(names)}: ganrun runs diff RUN RUN. For more: compare.")
    folders = [find_run_folder(name, uses_registry=True) for name in names]
    for folder in folders:
        check_contents(folder, is_set(settings, "trust"))
    print_text(format_difference(folders))
    return 0


ACTIONS = {"rm": remove, "clean": clean, "du": show_use, "tag": tag, "diff": show_difference}

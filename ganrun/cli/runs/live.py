"""What the commands that need a running training share: finding it, and saying why it is not one."""

from collections.abc import Sequence
from pathlib import Path

from ganrun.cli.arguments import split_settings
from ganrun.errors import UserError, ganrun_command
from ganrun.training.run_folder import read_status
from ganrun.training.runs.find import find_run_folder
from ganrun.training.runs.states import RunState, observe_state


def take_run(
    verb: str, args: Sequence[str], settings: Sequence[str] = (), uses_registry: bool = False
) -> tuple[Path, dict[str, str]]:
    """Return the run folder that the arguments name, and their settings. Raises UserError for anything else."""
    names, given = split_settings(verb, args, settings)
    if len(names) != 1:
        found = f", got {len(names)}" if names else ""
        raise UserError(f"{verb} needs one run folder, or the word last{found}, as in: ganrun {verb} last")
    return find_run_folder(names[0], uses_registry), given


def seconds_of(settings: dict[str, str], default: float) -> float:
    """Return the setting limit=, in seconds."""
    text = settings.get("limit", str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise UserError(f"limit must be a number of seconds, got {text}. For example: limit={default:g}")
    return seconds


def check_running(folder: Path) -> RunState:
    """Return the state of a run that is running. Raises UserError for one that is not, with what can be done."""
    state = observe_state(folder, read_status(folder))
    if state == RunState.DEAD:
        raise UserError(
            f"{folder} is not running: its process was killed, as nobody holds its lock. "
            f"To go on: {ganrun_command('resume', folder)}"
        )
    if not state.is_live:
        advice = {
            RunState.DONE: f"To see its scores: {ganrun_command('status', folder)}",
            RunState.EMPTY: f"It ended before its training began. To start one: {ganrun_command('train')}",
            RunState.DAMAGED: f"Its status.json cannot be used. To see more: {ganrun_command('status', folder)}",
        }
        raise UserError(f"{folder} is not running ({state}). {advice.get(state, resume_advice(folder))}")
    return state


def resume_advice(folder: Path) -> str:
    return f"To go on: {ganrun_command('resume', folder)}"

"""ganrun sweep: shows the results of a sweep, or continues it."""

from collections.abc import Sequence

from ganrun.cli import hydra_app
from ganrun.cli.arguments import parse_command
from ganrun.config import schema
from ganrun.config.overrides import OVERRIDE, quote_override
from ganrun.errors import UserError, ganrun_command
from ganrun.sweep import saved_command, state
from ganrun.sweep.report import leaderboard
from ganrun.terminal import configure_logging
from ganrun.training.run_folder import check_contents


def main(args: Sequence[str]) -> int:
    """Show the leaderboard of a sweep (`NAME`), or train the jobs that are left (`resume NAME`). Return exit code."""
    trust, args = "trust=true" in args, [arg for arg in args if arg not in ("trust=true", "trust=false")]
    changes = [arg for arg in args if OVERRIDE.match(arg)]
    names = [arg for arg in args if arg not in changes]
    is_resume = names[:1] == ["resume"]
    if len(names) != 1 + is_resume or (changes and not is_resume):
        raise UserError(
            "To show a sweep: ganrun sweep NAME. To continue it: ganrun sweep resume NAME [sweep.key=value]. "
            "NAME is a folder, a name in outputs/sweeps, or last."
        )
    folder = state.find_sweep(names[-1])
    check_contents(folder, trust)
    sweep = state.load_sweep(folder)
    if is_resume:
        return resume_sweep(sweep, changes, trust)
    configure_logging()
    settings = sweep.definition.get("settings", {})
    with sweep.locked():
        leaderboard.show_leaderboard(sweep, settings.get("metric"), settings.get("direction"))
    return 0


def resume_sweep(sweep: state.SweepState, changes: Sequence[str], trust: bool) -> int:
    """Train the jobs that are left, with these settings changed. Return the exit code of the sweep.

    trust: run what the sweep's file asks for, though it names own classes or folders of configs, say.
    """
    changeable = [key for key, setting in schema.SETTINGS.items() if not setting.in_sweep_identity]
    allowed = [key for key in changeable if key != "sweep.name"]
    changed = [arg.partition("=")[0] for arg in changes]
    if fixed := [key for key in changed if key not in allowed]:
        way_on = f"Allowed: {', '.join(allowed)}."
        if fixed[0] in ("kimg", "minutes"):
            longer = [arg for arg in changes if arg.partition("=")[0] == fixed[0]]
            job = sweep.folder / (sweep.jobs[0].name if sweep.jobs else "JOB")
            way_on = f"To train one of its runs longer: {ganrun_command('resume', job, *longer)}"
        raise UserError(f"{fixed[0]} cannot change when a sweep is resumed. {way_on}")
    saved = [arg for arg in sweep.command if arg.partition("=")[0] not in ("folder", "sweep.fresh", *changed)]
    if not trust:
        command = ganrun_command("sweep", "resume", sweep.folder, *changes, "trust=true")
        saved_command.check_command(saved, sweep.flags, sweep.folder / state.SWEEP_FILE, command)
    args = [*saved, *changes, f"folder={quote_override(str(sweep.folder))}"]
    flags = {"--multirun": "", **{name: value for name, value in sweep.flags.items() if name == "--config-dir"}}
    return hydra_app.run_command(parse_command("train", False, flags, args)._replace(trust=trust))

"""ganrun sweep: shows a sweep, or goes on with it."""

from collections.abc import Sequence

from ganrun.cli import hydra_app
from ganrun.cli.arguments import parse_command
from ganrun.config.overrides import OVERRIDE, quote_override
from ganrun.errors import UserError
from ganrun.sweep import state, sweeper
from ganrun.sweep.report import leaderboard


def main(words: Sequence[str]) -> int:
    """`NAME` shows the sweep's leaderboard; `resume NAME` trains what is left of it, with sweep.*= changed as asked."""
    settings = [word for word in words if OVERRIDE.match(word)]
    names = [word for word in words if word not in settings]
    is_resume = names[:1] == ["resume"]
    if len(names) != 1 + is_resume or (settings and not is_resume):
        raise UserError("ganrun sweep NAME shows a sweep, ganrun sweep resume NAME goes on with it. NAME may be last.")
    folder = state.find_sweep(names[-1])
    known = state.load_sweep(folder)
    if is_resume:
        return resume_sweep(known, settings)
    hydra_app.configure_logging()
    settings = known.definition["settings"]
    with known.locked():
        leaderboard.show_leaderboard(known, settings["metric"], settings["direction"])
    return 0


def resume_sweep(known: state.SweepState, changes: Sequence[str]) -> int:
    """Trains what is left; the command's exit code is that of the sweep."""
    loose = [f"sweep.{key}" for key in sweeper.LOOSE if key != "name"]
    strange = [word for word in changes if word.partition("=")[0] not in loose]
    if strange:
        raise UserError(f"{strange[0]} makes another sweep. What may change on the way: {', '.join(loose)}.")
    flags = {"--multirun": "", **known.flags}
    kept = [word for word in known.command if not word.startswith(("folder=", "sweep.fresh="))]
    given = {word.partition("=")[0] for word in changes}
    kept = [word for word in kept if word.partition("=")[0] not in given]
    words = [*kept, *changes, f"folder={quote_override(str(known.folder))}"]
    return hydra_app.run_command(parse_command("train", False, flags, words))

"""All that is known of one run, for `ganrun status`."""

import math
import platform
import textwrap
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganrun.cli.quiz.answers import describe_quizzes
from ganrun.cli.runs.table import describe_as_json, format_table, terminal_width
from ganrun.config.json_forms import is_number
from ganrun.errors import UserError, ganrun_command, printable
from ganrun.files import open_regular
from ganrun.metrics.scores.declarations import better_direction
from ganrun.terminal import format_duration, round_bytes
from ganrun.training.manifest import Manifest, checkpoint_files
from ganrun.training.run_folder import check_contents, read_config, read_status
from ganrun.training.runs.overview import RunOverview, read_overview
from ganrun.training.runs.states import RunState

TAIL = 4096  # bytes of train.log
ENDED_BADLY = (RunState.FAILED, RunState.DEAD, RunState.INTERRUPTED)


def describe_run_fully(folder: Path) -> str:
    """Return lines of a name and what it is, the scores, and the command that goes on."""
    run, status = read_overview(folder), read_status(folder)
    facts = {
        "run": str(folder),
        "state": describe_state(run),
        "problem": run.problem,
        "progress": describe_progress(run),
        "diagnosis": status.get("diagnosis", {}).get("summary", ""),
        "last message": last_message(folder) if run.state in ENDED_BADLY else "",
        "model, data": ", ".join(filter(None, [run.model, run.data])),
        **describe_origin(folder),
        "device": describe_device(run, status),
        "checkpoints": describe_checkpoints(folder),
        "disk": f"{round_bytes(run.disk.total)} in {run.disk.files} files, {round_bytes(run.disk.checkpoints)} of it "
        f"checkpoints, {round_bytes(run.disk.pictures)} pictures",
        "quiz": describe_quizzes(folder),
        "tags": ", ".join(run.tags),
        "versions": ", ".join(f"{name} {version}" for name, version in status.get("versions", {}).items()),
        "commit": status.get("commit") or "",
    }
    lines = [line for name, text in facts.items() if text for line in wrap_fact(name, printable(text))]
    lines += ["", *scores] if (scores := score_lines(status)) else []
    lines += ["", *(f"{name:<13}{command}" for name, command in next_commands(run).items())]
    return "\n".join(lines) + "\n"


def wrap_fact(name: str, text: str) -> list[str]:
    """Return lines that fit the terminal, as far as single words do."""
    return textwrap.wrap(
        f"{name:<13}{text}",
        max(40, terminal_width()),
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )


def describe_state(run: RunOverview) -> str:
    """Return the state, and for a run that lives its process."""
    ago = f", last written {format_duration(max(0.0, time.time() - run.changed))} ago" if run.changed else ""
    if not run.state.is_live:
        meaning = {RunState.DEAD: ": it says that it runs, but nobody holds its lock, so its process was killed"}
        return f"{run.state}{meaning.get(run.state, '')}{ago}"
    return f"{run.state}: process {run.pid} on {run.host}{ago}"


def describe_progress(run: RunOverview) -> str:
    share = "" if math.isnan(run.share) else f"{100 * run.share:.0f} %, "
    limits = [f"{run.kimg_limit:g} kimg"] if run.kimg_limit else []
    limits += [f"{run.minutes_limit:g} minutes"] if run.minutes_limit else []
    of = f" of {' or '.join(limits)}" if limits else ""
    left = "" if math.isnan(run.seconds_left) else f", {format_duration(run.seconds_left)} left"
    speed = f", {run.images_per_second:,.0f} images/s" if run.images_per_second else ""
    return f"{share}{run.kimg:g}{of if run.kimg_limit else ' kimg' + of} in {format_duration(run.seconds)}{speed}{left}"


def describe_origin(folder: Path) -> dict[str, str]:
    """Return the seed and the checkpoint that the run started from, if its config can be read."""
    with suppress(OSError, ValueError, UserError):
        check_contents(folder)
        config = read_config(folder)
        return {name: str(config.get(name)) for name in ("seed", "parent") if config.get(name) is not None}
    return {"config": "config.yaml is missing or damaged, or something in the folder leads out of it"}


def describe_device(run: RunOverview, status: Mapping[str, Any]) -> str:
    threads = f"{status['threads']} thread{'s' * (status['threads'] != 1)}" if "threads" in status else ""
    where = f"on {run.host}" if run.host and run.host != platform.node() else ""
    return ", ".join(filter(None, [run.device, where, threads, status.get("precision")]))


def describe_checkpoints(folder: Path) -> str:
    """Return which checkpoints there are, by their roles."""
    try:
        manifest = Manifest.read(folder / "checkpoints")
        files = checkpoint_files(folder / "checkpoints")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not files:
        return "none"
    roles = {role: getattr(manifest, role) for role in ("last", "best")}
    named = [f"{role} {name}" for role, name in roles.items() if name in files]
    return ", ".join([str(len(files)), *named]) if named else f"{len(files)}, but manifest.json is missing or damaged"


def last_message(folder: Path) -> str:
    """Return the last line of train.log; "" if it cannot be read."""
    with suppress(OSError), open_regular(folder / "train.log") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        lines = file.read(TAIL).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def score_lines(status: Mapping[str, Any]) -> list[str]:
    """Return a table of the scores at the best checkpoint and at the last scoring."""
    best, last = status.get("best", {}), status.get("last", {})
    names = [*dict.fromkeys([*best, *last])]
    if not names:
        return []
    cells = {
        title: [f"{scores[name]:.4g}" if is_number(scores.get(name)) else "" for name in names]
        for title, scores in (("best", best), ("last", last))
    }
    shown = [printable(name) + " *" * (name == status.get("monitor")) for name in names]
    return format_table({"score": shown, **cells, "better": [better_direction(name) for name in names]})


def next_commands(run: RunOverview) -> dict[str, str]:
    """Return what can be done with the run."""
    go_on, logs = {"go on": ("resume", run.folder)}, {"messages": ("logs", run.folder)}
    verbs = {
        RunState.RUNNING: {
            "messages": ("logs", run.folder, "-f"),
            "checkpoint": ("save", run.folder),
            "end": ("stop", run.folder),
        },
        RunState.ELSEWHERE: {**logs, "checkpoint": ("save", run.folder)},
        **dict.fromkeys(ENDED_BADLY, go_on),
        RunState.EMPTY: {"remove": ("runs", "rm", run.folder)},
    }.get(run.state, logs)
    return {name: ganrun_command(*words) for name, words in verbs.items()}


def status_as_json(folder: Path) -> dict[str, Any]:
    """Return what `ganrun runs --json` has of the run, what people say of its samples, and its whole status.json."""
    more = {"quiz": describe_quizzes(folder) or None, "status": read_status(folder)}
    return describe_as_json(read_overview(folder)) | more

"""ganrun compare: prints how runs differ, and ranks those whose scores are comparable."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ganrun.cli.arguments import is_set
from ganrun.config import schema
from ganrun.config.docs import NETWORK_PARTS
from ganrun.config.json_forms import flatten_settings
from ganrun.config.overrides import OVERRIDE
from ganrun.errors import UserError, ganrun_command
from ganrun.files import timed_output
from ganrun.sweep import state
from ganrun.sweep.job_state import JobState
from ganrun.sweep.report import leaderboard, results
from ganrun.sweep.report import ranking as board
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob, SweepState
from ganrun.terminal import PlainConsole, configure_logging
from ganrun.training.run_folder import (
    check_contents,
    choose_name,
    make_run_folder,
    read_config,
    read_status,
)

log = logging.getLogger(__name__)


def main(args: Sequence[str]) -> int:
    """Compare run folders, or the runs of sweeps. Settings: metric=, out= (a folder for the page), trust=."""
    settings = dict(arg.split("=", 1) for arg in args if OVERRIDE.match(arg) and not Path(arg).exists())
    names = [arg for arg in args if arg.partition("=")[0] not in settings]
    if unknown := settings.keys() - {"metric", "out", "trust"}:
        raise UserError(f"Unknown setting {min(unknown)}. compare takes metric= and out=, and trust=true.")
    found = [folder for name in names for folder in find_runs(name, is_set(settings, "trust"))]
    once: dict[Path, Path] = {}
    for folder in found:
        once.setdefault(folder.resolve(), folder)
    folders = [*once.values()]
    if len(folders) < 2:
        times = f" {folders[0]} is given {len(found)} times." if len(found) > len(folders) else ""
        usage = "ganrun compare RUN OTHER, or ganrun compare SWEEP."
        raise UserError(f"compare needs two or more runs, or a sweep: {usage}{times}")
    configure_logging()
    metric = settings.get("metric")
    if metric and results.score_mode(metric) is None:
        raise UserError(f"metric={metric}: unknown whether low or high is better. Use a score, such as metric=val/fid.")
    runs = build_state(folders)
    by_number = {job.number: results.load_result(Path(job.name), metric) for job in runs.jobs}
    out = Path(settings["out"]) if settings.get("out") else timed_output("compare")
    runs.folder = choose_name(out, "out")
    make_run_folder(runs.folder, lambda partial: print_comparison(runs, by_number, partial), "out")
    return 0


def find_runs(name: str, trust: bool = False) -> list[Path]:
    """Return the run folder `name`, or the run folders of the sweep `name`. trust: links may lead out of them."""
    if (Path(name) / "status.json").is_file():
        check_contents(Path(name), trust)
        return [Path(name)]
    try:
        folder = state.find_sweep(name)
    except UserError as error:
        raise UserError(f"{name} is not a run folder. {error}") from error
    check_contents(folder, trust)
    return [path for job in state.load_sweep(folder).jobs if ((path := folder / job.name) / "status.json").is_file()]


def build_state(folders: Sequence[Path]) -> SweepState:
    """Return the runs as jobs of one sweep, whose axes are the settings in which they differ."""
    configs, statuses = zip(*map(load_run, folders), strict=True)
    choices = [status.get("choices", {}) for status in statuses]
    parts = {part for choice in choices for part in NETWORK_PARTS if part in choice}
    choices = [dict.fromkeys(parts, choice.get("network")) | choice for choice in choices]  # else network= has it
    groups = sorted({group for choice in choices for group in choice})
    differing = [group for group in groups if len({choice.get(group) for choice in choices}) > 1]
    settings = sorted({key for config in configs for key in config if not key.endswith("_target_")})
    compared = [key for key in settings if schema.find_setting(key).is_compared]
    axes = [*differing, *(key for key in compared if is_axis(key, configs, choices, differing))]
    points: dict[tuple, int] = {}
    runs = SweepState(Path(), {"axes": [f"{key}=" for key in axes]})
    for number, (folder, config, choice) in enumerate(zip(folders, configs, choices, strict=True)):
        chosen = {key: choice.get(key) if key in differing else config.get(key) for key in axes}
        values = {key: "null" if value is None else str(value) for key, value in chosen.items()}
        point = points.setdefault(tuple(values.values()), len(points))
        run_state = JobState(statuses[number]["state"])
        runs.jobs.append(SweepJob(number, point, values, config.get("seed", 0), str(folder.absolute()), run_state))
    return runs


def load_run(folder: Path) -> tuple[dict, dict]:
    """Return the config of a run as {dotted key: value}, and its status. Raises UserError if one is unreadable.

    trainer.precision is what `auto` chose, if the status has it.
    """
    try:
        config, status = flatten_settings(read_config(folder)), read_status(folder)
        JobState(status["state"])
        if config.get("trainer.precision") == "auto":
            config["trainer.precision"] = status.get("precision", "auto")
        return config, status
    except (OSError, ValueError, KeyError) as error:
        advice = "Leave it out of the comparison."
        raise UserError(f"Cannot read config.yaml or status.json of {folder}. {advice}") from error


def is_axis(key: str, configs: Sequence[dict], choices: Sequence[dict], differing: Sequence[str]) -> bool:
    """Whether the runs differ in this setting, not only in what their choices in the `differing` groups stand for.

    A choice of model stands for its settings and those of its networks, but two models differ in their batch size, too.
    """
    group = key.partition(".")[0]
    if group == "optimizers" and all(config.get(key) == shared_value(key, config) for config in configs):
        return False
    by_choice: dict[tuple, set] = {}
    is_of_choice = any(group in choice for choice in choices) and group != "optimizer"
    for config, choice in zip(configs, choices, strict=True):
        if is_of_choice or key in config:
            own = tuple(choice.get(other) for other in differing) if is_of_choice else ()
            by_choice.setdefault(own, set()).add(str(config.get(key)))
    return any(len(values) > 1 for values in by_choice.values())


def shared_value(key: str, config: Mapping[str, Any]) -> Any:
    """Return the setting of all players that a player has unless it has one of its own: optimizer.lr."""
    return config.get(f"optimizer.{key.split('.', 2)[-1]}")


def print_comparison(runs: SweepState, by_number: Mapping[int, RunResult], pages: Path) -> None:
    """Print each run's own settings, a ranking per kind of score and how to make scores comparable.

    pages: the folder to write the pages to, which becomes the folder of `runs`.
    """
    console = PlainConsole(soft_wrap=True)
    has_seeds = len({job.seed for job in runs.jobs}) > 1
    for job in runs.jobs:
        path = Path(job.name)
        folder = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        settings = [f"{key}={value}" for key, value in job.values.items()] + [f"seed={job.seed}"] * has_seeds
        console.print(f"{job.number:>3}  {folder}", highlight=False)
        console.print(f"     {' '.join(settings) or 'the same settings'}", highlight=False)
    leaderboard.show_rankings(runs, by_number, console, ranking_table, "Comparison", pages)
    if advice := rescoring_advice([by_number[job.number].protocol for job in runs.jobs], runs.jobs[0]):
        console.print(advice, highlight=False)


def ranking_table(ranked: Sequence[board.PointResult], metric: str | None) -> Table:
    """Return a table with the mean and deviation of the best scores of each set of runs that differ only in seed."""
    table = Table("rank", "runs", metric or "score", "deviation", title_justify="left")
    table.title = board.describe_columns("ranking", ranked)
    for point in ranked:
        numbers = ", ".join(str(job.number) for job in point.jobs)
        mean = f"{point.mean:.4g}" if point.scores else "none"
        deviation = f"{point.deviation:.3g}" if len(point.scores) > 1 else ""
        table.add_row(str(point.rank or ""), numbers, mean, deviation)
    return table


def rescoring_advice(protocols: Sequence[Mapping[str, str]], first: SweepJob) -> str:
    """Return the command that makes scores comparable; "" if they are, or if the runs use different data."""
    data = {(protocol.get("data"), protocol.get("size")) for protocol in protocols}
    if len({tuple(protocol.items()) for protocol in protocols}) < 2 or len(data) > 1:
        return ""
    counts = [int(count) for protocol in protocols if (count := protocol.get("samples", "")).isdigit()]
    samples = f" samples={max(counts)}" if counts else ""
    command = ganrun_command("eval", Path(first.name))
    return f"To make the scores comparable: {command}{samples}, and likewise for each run"

"""ganrun compare: runs beside each other, and which of them may be ranked together."""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from yaml import YAMLError

from ganrun.cli import hydra_app
from ganrun.config import resume_rules
from ganrun.config.overrides import OVERRIDE
from ganrun.errors import UserError
from ganrun.sweep import state
from ganrun.sweep.report import leaderboard, results
from ganrun.sweep.report import ranking as board
from ganrun.sweep.report.results import RunResult
from ganrun.sweep.state import SweepJob, SweepState
from ganrun.training.run_folder import make_run_folder

log = logging.getLogger(__name__)
OWN = ("seed", "folder", "parent", "resume", "dry_run")  # settings that make no other experiment


def main(words: Sequence[str]) -> int:
    """Compares run folders and the runs of sweeps. Settings: metric=, out= (a folder for the page)."""
    settings = dict(word.split("=", 1) for word in words if OVERRIDE.match(word) and not Path(word).exists())
    names = [word for word in words if word.partition("=")[0] not in settings]
    if strange := settings.keys() - {"metric", "out"}:
        raise UserError(f"{min(strange)} is no setting of compare. It takes metric= and out=.")
    folders = [folder for name in names for folder in find_runs(name)]
    if len(folders) < 2:
        raise UserError(
            "ganrun compare takes two runs or more, or a sweep: ganrun compare RUN RUN, ganrun compare SWEEP."
        )
    hydra_app.configure_logging()
    if settings.get("metric") and results.score_mode(settings["metric"]) is None:
        raise UserError(f"Which values of {settings['metric']} are better is not known: it cannot rank.")
    known = build_state(folders)
    found = {job.number: results.load_result(Path(job.name), settings.get("metric")) for job in known.jobs}
    known.folder = make_run_folder(
        Path(settings.get("out") or f"outputs/compare/{datetime.now():%Y-%m-%d-%H%M%S}"), "out"
    )
    print_comparison(known, found)
    return 0


def find_runs(name: str) -> list[Path]:
    """The run folder of that name, or those of a sweep's jobs."""
    if (Path(name) / "status.json").is_file():
        return [Path(name)]
    try:
        folder = state.find_sweep(name)
    except UserError as error:
        raise UserError(f"{name} is no run folder, and {str(error).removeprefix(f'{name} is ')}") from error
    return [path for job in state.load_sweep(folder).jobs if ((path := folder / job.name) / "status.json").is_file()]


def build_state(folders: Sequence[Path]) -> SweepState:
    """The runs as if they were jobs of one sweep, whose axes are the settings in which they differ."""
    configs, statuses = [load_run_config(folder) for folder in folders], [load_run_status(folder) for folder in folders]
    choices = [status.get("choices", {}) for status in statuses]
    groups = sorted({group for choice in choices for group in choice})
    chosen = [group for group in groups if len({choice.get(group) for choice in choices}) > 1]
    keys = sorted({key for config in configs for key in config if is_compared(key)})
    axes = [*chosen, *(key for key in keys if is_axis(key, configs, choices, chosen))]
    points: dict[tuple, int] = {}
    found = SweepState(Path(), {"axes": [f"{key}=" for key in axes]})
    for number, (folder, config, choice) in enumerate(zip(folders, configs, choices, strict=True)):
        values = {key: str(choice.get(key) if key in chosen else config.get(key)) for key in axes}
        point = points.setdefault(tuple(values.values()), len(points))
        state_of = statuses[number].get("state", "")
        found.jobs.append(SweepJob(number, point, values, config.get("seed", 0), str(folder.absolute()), state_of))
    return found


def load_run_config(folder: Path) -> dict:
    """The settings of a run, by their full keys."""
    try:
        return resume_rules.flatten_config(OmegaConf.load(folder / "config.yaml"))
    except (OSError, ValueError, YAMLError) as error:
        raise unreadable_run(folder / "config.yaml") from error


def load_run_status(folder: Path) -> dict:
    try:
        return json.loads((folder / "status.json").read_text())
    except (OSError, ValueError) as error:
        raise unreadable_run(folder / "status.json") from error


def unreadable_run(path: Path) -> UserError:
    return UserError(f"{path} cannot be read: {path.parent} is no run folder that can be compared.")


def is_axis(key: str, configs: Sequence[dict], choices: Sequence[dict], chosen: Sequence[str]) -> bool:
    """Whether runs differ in a setting by more than what follows from the choices in which they differ."""
    by_choice: dict[tuple, set] = {}
    for config, choice in zip(configs, choices, strict=True):
        by_choice.setdefault(tuple(choice.get(group) for group in chosen), set()).add(str(config.get(key)))
    return any(len(values) > 1 for values in by_choice.values())


def is_compared(key: str) -> bool:
    """Whether a setting tells runs apart: not where it lies or how loud it was."""
    return key not in OWN and not key.endswith("_target_") and (not resume_rules.is_resumable(key) or key == "kimg")


def print_comparison(known: SweepState, found: Mapping[int, RunResult]) -> None:
    """Prints the differing settings and a ranking for each kind of score, and how to score alike; writes the pages."""
    console = Console(soft_wrap=True)
    for job in known.jobs:
        console.print(describe_run(job), highlight=False, markup=False)
    leaderboard.show_rankings(known, found, console, ranking_table, "Comparison")
    if advice := rescoring_advice([found[job.number].protocol for job in known.jobs], known.jobs[0]):
        console.print(advice, highlight=False, markup=False)


def describe_run(job: SweepJob) -> str:
    """A run's number and folder, and below them what it has of its own."""
    path = Path(job.name)
    folder = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    own = [*(f"{key}={value}" for key, value in job.values.items()), f"seed={job.seed}"]
    return f"{job.number:>3}  {folder}\n     {' '.join(own)}"


def ranking_table(ranked: Sequence[board.PointResult], metric: str | None) -> Table:
    """A row per point: the runs that are it, the mean of their best scores, its deviation."""
    table = Table("rank", "runs", metric or "score", "deviation", title="ranking", title_justify="left")
    for place, standing in enumerate(ranked, 1):
        numbers = ", ".join(str(job.number) for job in standing.jobs)
        mean = f"{standing.mean:.4g}" if standing.scores else "none"
        deviation = f"{standing.deviation:.3g}" if len(standing.scores) > 1 else ""
        table.add_row(str(place) if standing.scores else "", numbers, mean, deviation)
    return table


def rescoring_advice(kinds: Sequence[Mapping[str, str]], first: SweepJob) -> str:
    """How to score runs alike whose scores differ in more than the data; nothing where they do not."""
    if len({tuple(kind.items()) for kind in kinds}) < 2 or len({(k.get("data"), k.get("size")) for k in kinds}) > 1:
        return ""
    samples = max((int(kind["samples"]) for kind in kinds if kind.get("samples", "").isdigit()), default=None)
    more = f" samples={samples}" if samples else ""
    return f"Score each alike: ganrun eval {shlex.quote(first.name)}{more}, and so on"

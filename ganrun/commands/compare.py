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

from ganrun import changes, jobs
from ganrun.arguments import SETTING
from ganrun.errors import UserError
from ganrun.record import make_folder
from ganrun.sweep import board, report, results, state
from ganrun.sweep.results import Result
from ganrun.sweep.state import State, SweepJob

log = logging.getLogger(__name__)
OWN = ("seed", "folder", "parent", "resume", "kimg", "minutes", "dry_run")  # settings that make no other experiment
# What a run's scores may differ in and still be ranked: what follows from the run, and what other scores need
FREE = ("floor", "averaged_weights", "kid_", "prdc_", "is_splits", "intra_", "accuracy")


def main(words: Sequence[str]) -> int:
    """Compares run folders and the runs of sweeps. Settings: metric=, out= (a folder for the page)."""
    settings = dict(word.split("=", 1) for word in words if SETTING.match(word) and not Path(word).exists())
    names = [word for word in words if word.partition("=")[0] not in settings]
    if strange := settings.keys() - {"metric", "out"}:
        raise UserError(f"{min(strange)} is no setting of compare. It takes metric= and out=.")
    folders = [folder for name in names for folder in runs_of(name)]
    if len(folders) < 2:
        raise UserError(
            "ganrun compare takes two runs or more, or a sweep: ganrun compare RUN RUN, ganrun compare SWEEP."
        )
    jobs.speak()
    known = gathered(folders)
    found = {job.number: results.read(Path(job.name), settings.get("metric")) for job in known.jobs}
    known.folder = make_folder(Path(settings.get("out") or f"outputs/compare/{datetime.now():%Y-%m-%d-%H%M%S}"), "out")
    show(known, found)
    return 0


def runs_of(name: str) -> list[Path]:
    """The run folder of that name, or those of a sweep's jobs."""
    if (Path(name) / "status.json").is_file():
        return [Path(name)]
    try:
        folder = state.find(name)
    except UserError as error:
        raise UserError(f"{name} is no run folder, and {str(error).removeprefix(f'{name} is ')}") from error
    return [path for job in state.load(folder).jobs if ((path := folder / job.name) / "status.json").is_file()]


def gathered(folders: Sequence[Path]) -> State:
    """The runs as if they were jobs of one sweep, whose axes are the settings in which they differ."""
    configs = [changes.flat(OmegaConf.load(folder / "config.yaml")) for folder in folders]
    keys = sorted({key for config in configs for key in config if is_told(key)})
    differing = [key for key in keys if len({str(config.get(key)) for config in configs}) > 1]
    choices = [json.loads((folder / "status.json").read_text()).get("choices", {}) for folder in folders]
    chosen = [group for group in choices[0] if len({choice.get(group) for choice in choices}) > 1]
    axes = [*chosen, *(key for key in differing if key.split(".")[0] not in chosen)]
    points: dict[tuple, int] = {}
    found = State(Path(), {"axes": [f"{key}=" for key in axes]})
    for number, (folder, config, choice) in enumerate(zip(folders, configs, choices, strict=True)):
        values = {key: str(choice.get(key) if key in chosen else config.get(key)) for key in axes}
        point = points.setdefault(tuple(values.values()), len(points))
        status = json.loads((folder / "status.json").read_text())["state"]
        found.jobs.append(SweepJob(number, point, values, config.get("seed", 0), str(folder.absolute()), status))
    return found


def is_told(key: str) -> bool:
    """Whether a setting tells runs apart: not where it lies or how loud it was."""
    return key not in OWN and not key.endswith("_target_") and (not changes.is_free(key) or key == "kimg")


def protocol(folder: Path, result: Result) -> dict[str, str]:
    """What a score was measured by: runs that differ in it are not to be ranked together."""
    config = OmegaConf.load(folder / "config.yaml")
    told = {"score": result.metric, "data": config.data.get("name"), "size": config.data.get("size")}
    told |= {key: value for key, value in result.protocol.items() if not key.startswith(FREE)}
    return {key: str(value) for key, value in told.items() if value is not None}


def show(known: State, found: Mapping[int, Result]) -> None:
    """Prints the differing settings and a ranking for each protocol, says why there are several, writes the page."""
    console = Console(soft_wrap=True)
    protocols = {job.number: protocol(Path(job.name), found[job.number]) for job in known.jobs}
    for job in known.jobs:
        console.print(settings_of(job), highlight=False)
    groups: dict[tuple, list[SweepJob]] = {}
    for job in known.jobs:
        groups.setdefault(tuple(sorted(protocols[job.number].items())), []).append(job)
    if len(groups) > 1:
        console.print(why_apart([protocols[own[0].number] for own in groups.values()], groups), highlight=False)
    for own in groups.values():
        first = found[own[0].number]
        ranked = board.standings(own, found, first.mode)
        console.print(ranking(ranked, first.metric))
        part = State(known.folder, known.definition, own)
        name = report.NAME if len(groups) == 1 else f"report-{1 + list(groups.values()).index(own)}.html"
        console.print(f"page          {report.write(part, ranked, found, first.metric, 'Comparison', name)}")


def settings_of(job: SweepJob) -> str:
    """A run's number and folder, and below them what it has of its own."""
    path = Path(job.name)
    folder = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    own = [*(f"{key}={value}" for key, value in job.values.items()), f"seed={job.seed}"]
    return f"{job.number:>3}  {folder}\n     {' '.join(own)}"


def ranking(ranked: Sequence[board.Standing], metric: str | None) -> Table:
    """A row per point: the runs that are it, the mean of their best scores, its deviation."""
    table = Table("rank", "runs", metric or "score", "deviation", title="ranking", title_justify="left")
    for place, standing in enumerate(ranked, 1):
        numbers = ", ".join(str(job.number) for job in standing.jobs)
        mean = f"{standing.mean:.4g}" if standing.scores else "none"
        deviation = f"{standing.deviation:.3g}" if len(standing.scores) > 1 else ""
        table.add_row(str(place) if standing.scores else "", numbers, mean, deviation)
    return table


def why_apart(kinds: Sequence[Mapping[str, str]], groups: Mapping[tuple, Sequence[SweepJob]]) -> str:
    """Which runs are not ranked together, in what their protocols differ, and how to score them alike."""
    keys = sorted({key for kind in kinds for key in kind if len({other.get(key) for other in kinds}) > 1})
    lines = ["Not ranked together: their scores were not measured alike."]
    for kind, own in zip(kinds, groups.values(), strict=True):
        told = ", ".join(f"{key} {kind.get(key, 'unknown')}" for key in keys)
        lines.append(f"  runs {', '.join(str(job.number) for job in own)}: {told}")
    if set(keys) <= {"samples", "reference", "resize", "weights", "extractor", "score", "reference_splits"}:
        samples = max((int(kind["samples"]) for kind in kinds if kind.get("samples", "").isdigit()), default=None)
        first = next(iter(groups.values()))[0].name
        more = f" samples={samples}" if samples else ""
        lines.append(f"Score each alike: ganrun eval {shlex.quote(first)}{more}, and so on")
    return "\n".join(lines)

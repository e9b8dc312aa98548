"""How a training went, as a table."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from ganrun.config import trust
from ganrun.config.experiment import Experiment
from ganrun.metrics.scores.declarations import better_direction
from ganrun.terminal import format_duration
from ganrun.training.callbacks.profiling import Profiling
from ganrun.training.callbacks.samples import Samples
from ganrun.training.run_record import RunRecord


def print_summary(job: Experiment, record: RunRecord, callbacks: list) -> None:
    """Prints last and best scores, then where things lie and how fast it went."""
    if not record.is_main_process:
        return
    console = Console(soft_wrap=True)
    if record.last:
        console.print(score_table(record))
    if diagnosis := record.diagnosis():
        console.print(diagnosis.summary, highlight=False)
    for profiling in (c for c in callbacks if isinstance(c, Profiling)):
        console.print(profiling.table())
    newest = next(c.newest for c in callbacks if isinstance(c, Samples))
    console.print(
        f"{record.images / 1000:,.1f} kimg in {format_duration(record.seconds)}, "
        f"{record.images_per_second:,.0f} images/s"
    )
    console.print(f"run folder    {record.folder}")
    for path in newest:
        console.print(f"pictures      {path}")
    console.print(f"TensorBoard   tensorboard --logdir {record.folder}")
    console.print(f"next          {'   or   '.join(next_commands(job, record.folder))}")


def next_commands(job: Experiment, folder: Path) -> list[str]:
    """What this model can do next."""
    draws = f"ganrun sample {folder}" if hasattr(job.model, "sample") else f"ganrun translate {folder} input=FOLDER"
    commands = [draws, f"ganrun eval {folder}"] if job.suite else [draws]
    return [f"{command} trust=true" for command in commands] if trust.needs_trust(job.cfg) else commands


def score_table(record: RunRecord) -> Table:
    """A row per score: its value at the end and at the best checkpoint, and which values are better."""
    table = Table("score", "last", "best", "better", title="scores", title_justify="left")
    table.add_row("kimg", f"{record.last['kimg']:g}", f"{record.best['kimg']:g}" if record.best else "", "")
    for name in record.last:
        if name != "kimg":
            mark = " *" if name == record.monitor else ""
            best = f"{record.best[name]:.4g}" if name in record.best else ""
            table.add_row(name + mark, f"{record.last[name]:.4g}", best, better_direction(name))
    table.caption = f"* names the best checkpoint ({record.mode})" if record.monitor else None
    return table

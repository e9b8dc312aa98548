"""The summary that a training prints at its end."""

from rich.table import Table

from ganrun.config import trust
from ganrun.errors import ganrun_command, shell_quote
from ganrun.metrics.scores.declarations import better_direction
from ganrun.terminal import PlainConsole, format_duration
from ganrun.training.callbacks.base import RunContext
from ganrun.training.callbacks.profiling import Profiling
from ganrun.training.callbacks.samples import Samples
from ganrun.training.run_record import RunRecord


def print_summary(run: RunContext) -> None:
    """Print scores, diagnosis, speed, where the files are, and the commands that make use of the trained model."""
    record = run.record
    if not record.is_main_process:
        return
    console = PlainConsole(soft_wrap=True)
    if record.last:
        console.print(last_and_best_table(record))
    if diagnosis := record.diagnosis():
        console.print(diagnosis.summary, highlight=False)
    for profiling in (callback for callback in run.callbacks if isinstance(callback, Profiling)):
        console.print(*profiling.text().splitlines(), sep="\n", highlight=False)
        if (trace := profiling.folder / "trace.json.gz").exists():
            console.print(f"details       open {trace} in https://ui.perfetto.dev")
    kimg, speed = record.images / 1000, record.images_per_second
    console.print(f"{kimg:,.1f} kimg in {format_duration(record.seconds)}, {speed:,.0f} images/s")
    hardware = run.experiment.hardware
    console.print(f"precision     {hardware.precision}: {hardware.precision_reason}")
    console.print(f"run folder    {record.folder}")
    for path in (path for callback in run.callbacks if isinstance(callback, Samples) for path in callback.newest):
        console.print(f"pictures      {path}")
    console.print(f"TensorBoard   tensorboard --logdir {shell_quote(str(record.folder))}")
    model, folder = run.experiment.model, record.folder
    commands = [ganrun_command("sample", folder)] if hasattr(model, "sample") else []
    commands += [ganrun_command("translate", folder, "input=FOLDER")] if hasattr(model, "translate") else []
    commands += [ganrun_command("eval", folder)] if run.experiment.suite else []
    suffix = " trust=true" if trust.needs_trust(run.cfg) else ""
    if commands:
        console.print(f"next          {'   or   '.join(command + suffix for command in commands)}")


def last_and_best_table(record: RunRecord) -> Table:
    """Return a table of the scores: at the end, at the best checkpoint, and which direction is better."""
    table = Table("score", "last", "best", "better", title="scores", title_justify="left")
    table.add_row("kimg", f"{record.last['kimg']:g}", f"{record.best['kimg']:g}" if record.best else "", "")
    for name in record.last:
        if name != "kimg":
            mark = " *" if name == record.monitor else ""
            best = f"{record.best[name]:.4g}" if name in record.best else ""
            table.add_row(name + mark, f"{record.last[name]:.4g}", best, better_direction(name))
    table.caption = f"* selects the best checkpoint ({record.mode})" if record.monitor else None
    return table

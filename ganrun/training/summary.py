"""The summary that a training prints at its end."""

import io
import textwrap
from collections.abc import Iterator, Mapping

from rich.table import Table

from ganrun.config import trust
from ganrun.errors import ganrun_command, shell_quote
from ganrun.metrics.scores.declarations import better_direction, spread_names
from ganrun.terminal import PlainConsole, format_duration
from ganrun.training.callbacks.base import RunContext
from ganrun.training.callbacks.profiling import Profiling
from ganrun.training.callbacks.samples import Samples
from ganrun.training.run_folder import copy_to_log
from ganrun.training.run_record import RunRecord

BETTER = {"min": "lower", "max": "higher"}  # by the mode of a monitored score
SENTENCES = ("diagnosis", "", "precision")  # labels of lines without paths and commands
INDENT, MIN_WIDTH = 14, 40  # of the text beside the labels


def print_summary(run: RunContext) -> None:
    """Print scores, diagnosis, speed, where the files are, and the commands that make use of the trained model.

    First into train.log: a terminal may be gone by now.
    """
    if not run.record.is_main_process:
        return
    text, console = io.StringIO(), PlainConsole(soft_wrap=True)
    parts = [*summary_parts(run, console.width if console.is_terminal else None)]
    PlainConsole(soft_wrap=True, file=text, width=console.width).print(*parts, sep="\n", highlight=False)
    copy_to_log(text.getvalue().rstrip())
    console.print(*parts, sep="\n", highlight=False)


def summary_parts(run: RunContext, width: int | None) -> Iterator[Table | str]:
    """Yield the table of scores and the lines below it. width: of a terminal, to wrap sentences at words."""
    if run.record.last:
        yield closing_table(run.record, run.experiment.suite.real_baselines(run.experiment.data))
    for profiling in (callback for callback in run.callbacks if isinstance(callback, Profiling)):
        yield from profiling.text().splitlines()
        if (trace := profiling.folder / "trace.json.gz").exists():
            yield f"details       open {trace} in https://ui.perfetto.dev"
    for label, line in closing_lines(run):
        is_sentence = label in SENTENCES  # others have paths and commands, to be copied in one piece
        parts = textwrap.wrap(line, max(width - INDENT, MIN_WIDTH)) if width and is_sentence else [line]
        yield f"{label:<{INDENT}}{(chr(10) + ' ' * INDENT).join(parts)}"


def closing_lines(run: RunContext) -> Iterator[tuple[str, str]]:
    """Yield (label, text) of the lines below the scores: diagnosis, speed, files, commands."""
    record, hardware = run.record, run.experiment.hardware
    diagnosis = record.diagnosis()
    yield "diagnosis", diagnosis.summary
    yield from [("", diagnosis.remark)] if diagnosis.remark else []
    kimg, speed = record.images / 1000, record.images_per_second
    yield "length", f"{kimg:,.1f} kimg in {format_duration(record.seconds)}, {speed:,.0f} images/s"
    yield "precision", f"{hardware.precision}: {hardware.precision_reason}"
    yield "run folder", str(record.folder)
    for path in (path for callback in run.callbacks if isinstance(callback, Samples) for path in callback.shown):
        yield "pictures", str(path)
    if any(record.folder.glob("events.out.tfevents.*")):
        yield "TensorBoard", f"tensorboard --logdir {shell_quote(str(record.folder))}"
    trust_flag = " trust=true" if trust.needs_trust(run.cfg) else ""
    if diagnosis.command:
        yield "train longer", f"{diagnosis.command}{trust_flag}"
    if commands := commands_for(run):
        yield "next", "   or   ".join(f"{command}{trust_flag}" for command in commands)


def commands_for(run: RunContext) -> list[str]:
    """Return the commands that make use of the trained model."""
    model, folder = run.experiment.model, run.record.folder
    commands = [ganrun_command("sample", folder)] if hasattr(model, "sample") else []
    commands += [ganrun_command("translate", folder, "input=FOLDER")] if hasattr(model, "translate") else []
    return commands + ([ganrun_command("eval", folder)] if run.experiment.suite else [])


def closing_table(record: RunRecord, real: Mapping[str, float]) -> Table:
    """Return a table of the scores: at the end, at the best checkpoint if that is another one, and of real data.

    A score and its standard deviation or error share a row.  real: {score: value of real data}, of some scores.
    """
    runs = {"last": record.last, "best": record.best} if record.best != record.last else {"last, best": record.last}
    columns = runs | ({"real data": real} if real else {})
    table = Table("score", *columns, "better", title="scores", title_justify="left")
    spreads = {spread for name in record.last for spread in spread_names(name)}
    for name in (name for name in record.last if name not in spreads):
        cells = [format_with_spread(name, scores) for scores in columns.values()]
        mark, better = (" *", record.mode) if name == record.monitor else ("", "")
        table.add_row(name + mark, *cells, better_direction(name) or BETTER.get(better, ""))
    table.columns[0].no_wrap, table.pad_edge = True, False  # names stay whole in a narrow terminal
    table.caption = "* selects the best checkpoint" if record.monitor else None
    return table


def format_with_spread(name: str, scores: Mapping[str, float]) -> str:
    """Format a score among others, with its standard deviation or error if that is one of them."""
    if name not in scores:
        return ""
    if name == "kimg":
        return f"{scores[name]:g}"
    spread = next((scores[spread] for spread in spread_names(name) if spread in scores), None)
    return f"{scores[name]:.4g}" + ("" if spread is None else f" ± {spread:.2g}")

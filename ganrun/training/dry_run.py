"""ganrun train dry_run=true: checks what the run needs and prints what it would do, and for how long."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from ganrun.config.experiment import Experiment
from ganrun.config.memory import bytes_per_number, training_bytes
from ganrun.config.trial import loss_name
from ganrun.data.keys import describe_keys, kinds_of
from ganrun.data.source import FileSource
from ganrun.terminal import PlainConsole, format_duration, format_length, round_bytes, working
from ganrun.training.rehearsal import NotMeasuredError, rehearse
from ganrun.training.session import check_experiment
from ganrun.training.threads import warn_if_busy

ROLLING_CHECKPOINTS = 2  # the last one and the one before


@dataclass(frozen=True)
class Done:
    """What a run that goes on has behind it."""

    kimg: float = 0.0
    seconds: float = 0.0


def print_plan(experiment: Experiment, run_dir: Path, choices: Mapping[str, str], done: Done = Done()) -> None:
    """Print model, data, networks, players, length, time, memory, disk and run folder of a training run.

    Trains for some seconds on made-up examples. Raises UserError for weights, files, packages that are missing.
    """
    check_experiment(experiment)
    if experiment.hardware.device == "cpu":
        warn_if_busy()
    downloads = experiment.suite.check_weights() if experiment.suite else ""
    console = PlainConsole(soft_wrap=True)
    tables = plan_table(experiment, choices, done), networks_table(experiment), players_table(experiment)
    with working("training for some seconds on made-up examples ..."):
        measured = [*measured_lines(experiment, run_dir, done)]
    for table in tables:
        for column in table.columns:
            column.overflow = "fold"
        console.print(table)
    for label, line in [*measured, *([("download", downloads)] if downloads else [])]:
        console.print(f"{label:<12} {line}", highlight=False)
    console.print(f"run folder   {run_dir}")
    console.print("dry_run=true: nothing was written. Remove it to train.")


def measured_lines(experiment: Experiment, run_dir: Path, done: Done) -> Iterator[tuple[str, str]]:
    """Yield (label, text) of what the run takes: time, memory, disk. Raises Failure if the memory does not suffice."""
    cfg, model = experiment.cfg, experiment.model
    disk = checkpoint_lines(experiment, run_dir)  # before the rehearsal, which is the last to use the model
    rehearsal = None
    try:
        rehearsal = rehearse(experiment)
    except NotMeasuredError as error:
        yield "time", f"not measured: {error}"
    if rehearsal:
        speed = rehearsal.images_per_second
        measured = f"{speed:,.0f} images/s, measured over {rehearsal.batches} batches of made-up examples"
        yield "time", f"about {format_duration(training_seconds(cfg, speed, done))} without scoring: {measured}"
        if rehearsal.memory:
            where = "of the GPU" if model.device.type == "cuda" else "for this process"
            yield "memory", f"{round_bytes(rehearsal.memory)} {where} at the peak, with activations"
    yield "disk", disk


def training_seconds(cfg: DictConfig, images_per_second: float, done: Done = Done()) -> float:
    """Return how long a training takes at this speed, without scoring and without what is done."""
    lengths = [1000 * (cfg.kimg - done.kimg) / images_per_second] if cfg.kimg else []
    lengths += [60 * cfg.minutes - done.seconds] if cfg.minutes else []
    return max(0.0, min(lengths))


def checkpoint_lines(experiment: Experiment, run_dir: Path) -> str:
    """Return how much disk the checkpoints take, and how much is free."""
    cfg, model = experiment.cfg, experiment.model
    weights = sum(w.numel() for w in model.parameters())
    size = training_bytes(cfg, model) - bytes_per_number(cfg) * weights  # without gradients
    count = ROLLING_CHECKPOINTS + (1 if experiment.suite else 0)
    if cfg.checkpoint.every_kimg and cfg.kimg:
        kept = ceil(cfg.kimg / cfg.checkpoint.every_kimg)
        count += min(kept, cfg.checkpoint.keep or kept)
    existing = next(folder for folder in [run_dir, *run_dir.absolute().parents] if folder.exists())
    free = shutil.disk_usage(existing).free
    return f"{count} checkpoints of about {round_bytes(size)}; {round_bytes(free)} are free"


def count_examples(experiment: Experiment) -> str:
    """Return how many examples or files the data have. Opens no file of the user's, and downloads nothing."""
    data = experiment.data
    if not isinstance(data.source, FileSource):  # known, or computed at once: points
        count = data.source.train_count or data.train_count
        return f"{min(count, data.limit or count):,} for training"
    if data.source.root is None:
        return "downloaded at the start, if they are not here yet"
    return f"{len(data.source.files()):,} files in {data.source.root}"


def plan_table(experiment: Experiment, choices: Mapping[str, str], done: Done) -> Table:
    cfg, data, model, suite = experiment.cfg, experiment.data, experiment.model, experiment.suite
    table = Table("", "plan", title="ganrun train", title_justify="left")
    shape, contents = " x ".join(map(str, data.shape)), describe_keys(kinds_of(data.keys))
    table.add_row("model", f"{choices.get('model')}, with network={choices.get('network')}")
    table.add_row("data", f"{data.name}: {shape}: {contents}")
    table.add_row("examples", count_examples(experiment))
    images = round(max(0.0, (cfg.kimg or 0) - done.kimg) * 1000, 6)
    count = f"{ceil(images / data.batch_size):,} " if cfg.kimg else ""
    parts = f", each in {cfg.accumulate} parts of {cfg.batch_size}" if model.accumulation else ""
    table.add_row("batches", f"{count}batches of {data.batch_size} examples{parts}")
    behind = f", of which {done.kimg:g} kimg and {format_duration(done.seconds)} are done" if done.kimg else ""
    table.add_row("length", format_length(cfg.kimg, cfg.minutes) + behind)
    table.add_row("scores", f"{suite.monitor}, {suite.samples:,} samples" if suite else "none")
    table.add_row("memory", f"{training_bytes(cfg, model) / 2**20:,.0f} MiB for weights, gradients and optimizers")
    hardware = experiment.hardware
    labels = {"CUDA graphs": hardware.cuda_graphs, "torch.compile": hardware.compiles_networks}
    used = [label for label, is_used in labels.items() if is_used]
    table.add_row("device", ", ".join([hardware.device, *used]))
    table.add_row("precision", f"{hardware.precision}: {hardware.precision_reason}")
    return table


def networks_table(experiment: Experiment) -> Table:
    table = Table("network", "class", "parameters", title="networks", title_justify="left")
    for name, network in experiment.model.named_children():
        if count := sum(w.numel() for w in network.parameters()):
            table.add_row(name, type(network).__name__, f"{count:,}")
    return table


def players_table(experiment: Experiment) -> Table:
    cfg, model = experiment.cfg, experiment.model
    names = {id(network): name for name, network in model.named_children()}
    table = Table(
        "player", "networks", "loss", "every", "optimizer", title="players", title_justify="left", pad_edge=False
    )
    for player in model.players():
        networks = ", ".join(names.get(id(network), type(network).__name__) for network in player.nets)
        lr = cfg.optimizers[player.name].get("lr", cfg.optimizer.lr)
        optimizer = f"{cfg.optimizer._target_.rsplit('.', 1)[-1]} {lr:g}"
        every = (
            "some batches" if callable(player.every) else "batch" if player.every == 1 else f"{player.every} batches"
        )
        table.add_row(player.name, networks, loss_name(player.loss), every, optimizer)
    return table

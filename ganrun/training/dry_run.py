"""ganrun train dry_run=true: prints what the run would do."""

from math import ceil
from pathlib import Path

from rich.table import Table

from ganrun.config.experiment import Experiment
from ganrun.config.memory import training_bytes
from ganrun.config.trial import loss_name
from ganrun.data.keys import describe_keys, kinds_of
from ganrun.terminal import PlainConsole, format_length


def print_plan(experiment: Experiment, run_dir: Path) -> None:
    """Print data, networks, players, length and run folder of a training run."""
    console = PlainConsole(soft_wrap=True)
    for table in (plan_table(experiment), networks_table(experiment), players_table(experiment)):
        for column in table.columns:
            column.overflow = "fold"
        console.print(table)
    console.print(f"run folder   {run_dir}")
    console.print("dry_run=true: nothing was written. Remove it to train.")


def plan_table(experiment: Experiment) -> Table:
    cfg, data, model, suite = experiment.cfg, experiment.data, experiment.model, experiment.suite
    table = Table("", "plan", title="ganrun train", title_justify="left")
    shape, contents = " x ".join(map(str, data.shape)), describe_keys(kinds_of(data.keys))
    table.add_row("data", f"{data.name}: {shape}: {contents}")
    count = f"{ceil(round(cfg.kimg * 1000, 6) / data.batch_size):,} " if cfg.kimg else ""
    parts = f", each in {cfg.accumulate} parts of {cfg.batch_size}" if model.accumulation else ""
    table.add_row("batches", f"{count}batches of {data.batch_size} examples{parts}")
    table.add_row("length", format_length(cfg.kimg, cfg.minutes))
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

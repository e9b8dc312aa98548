"""What a training would do, in words: ganrun train dry_run=true."""

from math import ceil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ganrun.config import build
from ganrun.config.experiment import Experiment


def print_plan(job: Experiment, folder: Path) -> None:
    """Prints data, networks, players, length and place of a training."""
    console = Console(soft_wrap=True)
    for table in (plan_table(job), networks_table(job), players_table(job)):
        for column in table.columns:
            column.overflow = "fold"
        console.print(table)
    console.print(f"writes to    {folder}")
    console.print("dry_run=true: nothing was written. Leave it out to train.")


def plan_table(job: Experiment) -> Table:
    cfg, data = job.cfg, job.data
    table = Table("", "plan", title="ganrun train", title_justify="left")
    table.add_row("data", f"{data.name}: {' x '.join(map(str, data.shape))}, gives {', '.join(data.gives)}")
    batches = f"{cfg.batch_size} examples each, {ceil(round(cfg.kimg * 1000, 6) / cfg.batch_size):,} of them"
    table.add_row("batches", batches)
    table.add_row("length", f"{cfg.kimg:g} kimg" + (f" or {cfg.minutes:g} minutes" if cfg.minutes else ""))
    table.add_row("scores", f"{job.suite.monitor}, {job.suite.samples:,} samples" if job.suite else "none")
    table.add_row("memory", f"{training_bytes(job) / 2**20:,.0f} MiB for weights, gradients and optimizers")
    kind = "cuda" if build.uses_cuda(cfg.trainer) else cfg.trainer.accelerator.replace("auto", "cpu")
    speed = {"graphs": "CUDA graphs", "networks": "torch.compile"}
    chosen = [word for name, word in speed.items() if build.resolve_compile(cfg)[name]]
    table.add_row("device", ", ".join([kind, f"precision {build.resolve_precision(cfg)}", *chosen]))
    return table


def networks_table(job: Experiment) -> Table:
    table = Table("network", "class", "parameters", title="networks", title_justify="left")
    for name, network in job.model.named_children():
        count = sum(w.numel() for w in network.parameters())
        if count:
            table.add_row(name, type(network).__name__, f"{count:,}")
    return table


def players_table(job: Experiment) -> Table:
    names = {id(network): name for name, network in job.model.named_children()}
    columns = ("player", "moves", "lowers", "every", "optimizer")
    table = Table(*columns, title="players", title_justify="left", pad_edge=False)
    for player in job.model.players():
        moved = ", ".join(names.get(id(network), type(network).__name__) for network in player.nets)
        lr = job.cfg.optimizers[player.name].get("lr", job.cfg.optimizer.lr)
        optimizer = f"{job.cfg.optimizer._target_.rsplit('.', 1)[-1]} {lr:g}"
        every = "batch" if player.every == 1 else f"{player.every} batches"
        table.add_row(player.name, moved, player.loss.__name__, every, optimizer)
    return table


def training_bytes(job: Experiment) -> int:
    """Bytes of weights, gradients and two moments, and of averaged copies; activations come on top."""
    sizes = {name: sum(w.numel() for w in net.parameters()) for name, net in job.model.named_children()}
    averaged = sum(sizes[name] for name in job.model.averages) if job.model.average else 0
    return 4 * (4 * sum(sizes.values()) + averaged)

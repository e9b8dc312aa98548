"""ganrun eval: scores a trained model again."""

import json
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ganrun import build, limits
from ganrun.commands.train import quiet_libraries
from ganrun.commands.trained import data_of, load
from ganrun.errors import UserError
from ganrun.record import make_folder, replace_text, versions


def run(cfg: DictConfig, folder: Path) -> None:
    """Scores the checkpoint and writes folder/scores.json."""
    quiet_libraries()
    limits.check(cfg)
    trained = load(cfg)
    suite = build.made(cfg.get("metrics") or trained.cfg.metrics)
    if suite is None:
        raise UserError("This run was trained with metrics=none. Name some: ganrun eval RUN metrics=lenet")
    data = data_of(trained, cfg)
    data.prepare_data()
    data.setup()
    suite.prepare(data, trained.model.device)
    floors = suite.floors(data)
    scores = suite.score(trained.model, data, samples=cfg.samples, seed=cfg.seed, is_final=True)
    protocol = {**suite.protocol(data, cfg.samples), "averaged_weights": bool(trained.model.averaged), "seed": cfg.seed}
    content = {
        "checkpoint": str(trained.path),
        "kimg": trained.kimg,
        "scores": scores,
        "floors": floors,
        "protocol": protocol,
    }
    path = make_folder(folder) / "scores.json"
    replace_text(path, json.dumps({**content, "versions": versions()}, indent=2) + "\n")
    show(scores, floors, protocol, path)


def show(scores: dict[str, float], floors: dict[str, float], protocol: dict, path: Path) -> None:
    """Prints the scores, what real examples would score, and the protocol that both hold under."""
    table = Table("score", "value", "of real ones", title="scores", title_justify="left")
    for name, value in scores.items():
        table.add_row(name, f"{value:.4g}", f"{floors[name]:.4g}" if name in floors else "")
    table.caption = ", ".join(f"{key} {value}" for key, value in protocol.items())
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"written to    {path}")

"""ganrun eval: scores a trained model again."""

import json
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from ganrun import build, checks, limits
from ganrun.commands.train import quiet_libraries
from ganrun.commands.trained import Trained, data_of, load
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.metrics.copies import NEIGHBOURS, look_for
from ganrun.metrics.suite import Generation
from ganrun.pictures import save_png
from ganrun.record import make_folder, replace_text, versions


def run(cfg: DictConfig, folder: Path) -> None:
    """Scores the checkpoint and writes folder/scores.json."""
    quiet_libraries()
    limits.check(cfg)
    trained = load(cfg)
    suite = build.made(cfg.get("metrics") or trained.cfg.metrics)
    if suite is None:
        raise UserError(
            "This run was trained with metrics=none. Name some: ganrun eval RUN metrics=lenet (digits), "
            "inception (other pictures), translation (two domains) or modes (mixtures)."
        )
    data = data_of(trained, cfg)
    check_kind(trained, data)
    data.prepare_data()
    data.setup()
    suite.prepare(data, trained.model.device)
    floors = suite.floors(data)
    scores = suite.score(trained.model, data, samples=cfg.samples, seed=cfg.seed, is_final=True)
    found = None
    if cfg.copies and isinstance(suite, Generation) and data.train_count > NEIGHBOURS:
        found = look_for(trained.model, data, suite.extractor, cfg.copies, cfg.seed)
        scores, floors = scores | found.scores, floors | found.floors
    protocol = {**suite.protocol(data, cfg.samples), "averaged_weights": bool(trained.model.averaged), "seed": cfg.seed}
    content = {
        "checkpoint": str(trained.path),
        "kimg": trained.kimg,
        "scores": scores,
        "floors": floors,
        "protocol": protocol,
    }
    path = make_folder(folder) / "scores.json"  # only now: nothing is left of an evaluation that fails
    if found:
        save_png(path.with_name("neighbours.png"), found.picture)
    replace_text(path, json.dumps({**content, "versions": versions()}, indent=2) + "\n")
    show(scores, floors, protocol, path)


def check_kind(trained: Trained, data: DataModule) -> None:
    """Refuses data that hold other things than the model makes."""
    lacking = [key for key in trained.model.needs if key not in (*data.gives, "y")]
    if lacking or len(data.shape) != len(trained.data.shape):
        raise UserError(
            f"{trained.choices['model']} of {trained.choices['data']} makes {checks.words(trained.data.gives)}, and "
            f"data={data.name} gives {checks.words(data.gives)}. Leave data= out, or name data of the same kind."
        )


def show(scores: dict[str, float], floors: dict[str, float], protocol: dict, path: Path) -> None:
    """Prints the scores, what real examples would score, and the protocol that both hold under."""
    table = Table("score", "value", "of real ones", title="scores", title_justify="left")
    for name, value in scores.items():
        table.add_row(name, f"{value:.4g}", f"{floors[name]:.4g}" if name in floors else "")
    console = Console(soft_wrap=True)
    console.print(table)
    console.print("protocol")
    width = max(map(len, protocol)) + 4
    for key, value in protocol.items():
        shown = f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else value
        console.print(f"  {key:<{width}}{shown}", highlight=False)
    console.print(f"written to    {path}")
    picture = path.with_name("neighbours.png")
    if picture.exists():
        console.print(f"neighbours    {picture}   (samples beside their nearest training pictures)")

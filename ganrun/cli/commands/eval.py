"""ganrun eval: scores a trained model again, or a folder of pictures against another."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from ganrun.cli.commands import eval_protocol, eval_table
from ganrun.config import build, compatibility, overrides, schema
from ganrun.data.images import save_png
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.metrics.picture_folder import PictureFolder
from ganrun.metrics.scores import ScoreNote, copies
from ganrun.metrics.suite import Generation
from ganrun.paths import replace_text
from ganrun.training.inference import TrainedModel, data_for, load_trained_model, select_device
from ganrun.training.run_folder import make_run_folder, package_versions
from ganrun.training.session import silence_libraries

log = logging.getLogger(__name__)


@dataclass
class EvalResult:
    """of: what was scored, for scores.json.   notes: how each score comes about.   common: what all of them share.

    collapsed: why the samples are to be called so, if they are.   pictures: {name: uint8 [3, H, W]}.
    """

    of: dict
    scores: dict[str, float]
    floors: dict[str, float]
    notes: dict[str, ScoreNote]
    shared_protocol: dict
    collapsed: str | None = None
    pictures: dict[str, Tensor] = field(default_factory=dict)

    def content(self) -> dict:
        """What scores.json holds."""
        return {
            **self.of,
            "scores": self.scores,
            "floors": self.floors,
            "basis": {name: self.notes[name]._asdict() for name in self.scores},
            "collapsed": self.collapsed,
            "protocol": self.shared_protocol,
            "versions": package_versions(),
        }


def run(cfg: DictConfig, folder: Path) -> None:
    """Scores the checkpoint, or the folder of pictures, and writes folder/scores.json."""
    silence_libraries()
    schema.check_values(cfg)
    eval_protocol.check_protocol_metrics()
    scored = score_run(cfg) if cfg.pictures is None and cfg.against is None else score_folders(cfg)
    path = make_run_folder(folder) / "scores.json"  # only now: nothing is left of an evaluation that fails
    for name, picture in scored.pictures.items():
        save_png(path.with_name(f"{name}.png"), picture)
    replace_text(path, json.dumps(scored.content(), indent=2) + "\n")
    eval_table.print_scores(scored.content(), path)


def score_run(cfg: DictConfig) -> EvalResult:
    """The scores of a trained model's samples."""
    trained = load_trained_model(cfg)
    suite = build.instantiate_optional(cfg.get("metrics") or trained.config.metrics)
    if suite is None:
        raise UserError(
            "This run was trained with metrics=none. Name some: ganrun eval RUN metrics=lenet (digits), "
            "inception (other pictures), translation (two domains) or modes (mixtures)."
        )
    data, model = data_for(trained, cfg), trained.model
    check_same_kind(trained, data)
    eval_protocol.check_protocol_data(data)
    data.reference_splits = tuple(cfg.splits or data.reference_splits)
    data.prepare_data()
    data.setup()
    suite.prepare(data, model.device)
    scored = EvalResult(
        {"checkpoint": str(trained.path), "kimg": trained.kimg},
        suite.score(model, data, samples=cfg.samples, seed=cfg.seed, is_final=True),
        suite.real_baselines(data, cfg.samples),
        suite.score_notes(data, cfg.samples),
        shared_protocol(cfg, suite.protocol(data, cfg.samples), model.device, averaged_weights=bool(model.averaged)),
    )
    scored.collapsed = suite.collapsed(scored.scores)
    if cfg.copies and isinstance(suite, Generation) and data.train_count > copies.NEIGHBOURS:
        add_copies(scored, trained, data, suite, cfg)
    return scored


def shared_protocol(cfg: DictConfig, told: dict, device, **more) -> dict:
    """How the scores came about, the protocol's name first."""
    name = eval_protocol.protocol_name(cfg, told)
    return {**({"protocol": name} if name else {}), **told, **more, "seed": cfg.seed, "device": device.type}


def add_copies(scored: EvalResult, trained: TrainedModel, data: DataModule, suite: Generation, cfg: DictConfig) -> None:
    """Looks for the samples among the training pictures, where these are of their size."""
    if data.shape != trained.data.shape:
        log.info("No copies are looked for: samples are %s and %s is %s", trained.data.shape, data.name, data.shape)
        return
    found = copies.find_copies(trained.model, data, suite.extractor, cfg.copies, cfg.seed)
    scored.scores |= found.scores
    scored.floors |= found.baselines
    scored.notes |= found.notes
    scored.pictures = found.pictures


def check_same_kind(trained: TrainedModel, data: DataModule) -> None:
    """Refuses data that hold other things than the model makes."""
    lacking = [key for key in trained.model.needs if key not in (*data.gives, "y")]
    if lacking or len(data.shape) != len(trained.data.shape):
        makes, gives = map(compatibility.describe_batch_keys, (trained.data.gives, data.gives))
        raise UserError(
            f"{trained.choices['model']} of {trained.choices['data']} makes {makes}, "
            f"and data={data.name} gives {gives}. Leave data= out, or name data of the same kind."
        )


def score_folders(cfg: DictConfig) -> EvalResult:
    """The scores of the pictures of one folder against those of another."""
    check_folders(cfg)
    fakes, real = PictureFolder(cfg.pictures, cfg.seed), PictureFolder(cfg.against)
    count, place = cfg.samples or len(fakes.paths), select_device(cfg.device)
    if count > len(fakes.paths):
        raise UserError(f"{cfg.pictures} holds {len(fakes.paths):,} pictures, and samples={count} asks for more.")
    suite = build.instantiate_optional(cfg.metrics)
    if not isinstance(suite, Generation):
        raise UserError(
            f"metrics={compatibility.chosen_options()['metrics']} scores no folders: "
            "metrics=inception or metrics=lenet."
        )
    suite.prepare(real, place)
    suite.warn_of_few(count)
    parts = ((pictures, None) for pictures in fakes.reference("x", count))
    scores = suite.score_images(parts, real, place, cfg.seed)
    told = suite.protocol(real, count)
    del told["reference_splits"]
    return EvalResult(
        {"pictures": str(fakes.folder), "against": str(real.folder)},
        scores,
        suite.real_baselines(real, count),
        suite.score_notes(real, count),
        shared_protocol(cfg, told, place),
        suite.collapsed(scores),
    )


def check_folders(cfg: DictConfig) -> None:
    """Refuses one folder without the other, and settings that say nothing of folders."""
    if not cfg.pictures or not cfg.against:
        raise UserError(
            f"There is {'no --folder' if cfg.against else 'no --against'}: two folders are compared, "
            "as in ganrun eval --folder A --against B"
        )
    given = overrides.override_keys([*HydraConfig.get().overrides.task])
    for key in sorted(given):
        if key.partition(".")[0] in ("which", "data", "network", "splits", "copies"):
            raise UserError(f"{key}= says nothing of two folders of pictures. Leave it out.")

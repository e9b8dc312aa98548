"""ganrun eval: scores a trained or exported model, or a folder of images against data or another folder."""

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from torch import Tensor

from ganrun.cli.commands import eval_protocol
from ganrun.cli.given import given_settings
from ganrun.config import build, compatibility
from ganrun.data.image_files import list_images
from ganrun.data.images import save_png
from ganrun.data.keys import describe_keys, keys_taken, kinds_needed, kinds_of
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.files import user_path, write_json
from ganrun.metrics.base import Suite
from ganrun.metrics.picture_folder import PictureFolder
from ganrun.metrics.scores import ScoreNote, copies
from ganrun.metrics.scores.declarations import score_of_setting
from ganrun.metrics.scores.path_length import PATH_LENGTH, path_length
from ganrun.metrics.suite import Generation
from ganrun.terminal import PlainConsole
from ganrun.training.export.card_file import find_bundle
from ganrun.training.inference import TrainedModel, data_for, load_trained_model, names_other_data, select_device
from ganrun.training.latents import check_takes_latents
from ganrun.training.manifest import has_checkpoints
from ganrun.training.run_folder import STATUS, make_run_folder, package_versions

log = logging.getLogger(__name__)
# Entries of the protocol that the table's columns show already, besides the settings of single scores
SHOWN_IN_TABLE = re.compile(r"(samples|reference|floor)(_[ab]|_[ab]_to_[ab]|_modes)?")


@dataclass
class EvalResult:
    """The scores of an evaluation.

    of: what was scored.  floors: {score: its value for real data}.  shared_protocol: settings behind all scores.
    equals: the packages that compute the same FID, in words; "" if none does.
    collapsed: the reason if the samples are collapsed.  pictures: {name: uint8 [3, H, W]}.
    differences: what keeps the scores from being compared with those of the training; None if that has none of them.
    """

    of: dict
    scores: dict[str, float]
    floors: dict[str, float]
    notes: dict[str, ScoreNote]
    shared_protocol: dict
    equals: str
    collapsed: str | None = None
    differences: list[str] | None = None
    pictures: dict[str, Tensor] = field(default_factory=dict)


def run(cfg: DictConfig, folder: Path) -> None:
    """Score the checkpoint, or the folder of images, and write folder/scores.json."""
    eval_protocol.check_protocol_metrics()
    check_run_folder(cfg)
    result = score_run(cfg) if cfg.pictures is None and cfg.against is None else score_folders(cfg)
    content = {
        **result.of,
        "scores": result.scores,
        "floors": result.floors,
        "basis": {name: result.notes[name]._asdict() for name in result.scores},
        "collapsed": result.collapsed,
        "protocol": result.shared_protocol,
        "differs_from_training": result.differences,
        "equals": result.equals or None,
        "versions": package_versions(),
    }

    def write(out: Path) -> None:
        for name, image in result.pictures.items():
            save_png(out / f"{name}.png", image)
        write_json(out / "scores.json", content)

    print_scores(content, make_run_folder(folder, write) / "scores.json")


def check_run_folder(cfg: DictConfig) -> None:
    """Raise UserError for a folder of images in the place of a run."""
    folder = user_path("" if OmegaConf.is_missing(cfg, "run") else cfg.run)
    if cfg.pictures is not None or cfg.against is not None or not os.path.isdir(folder) or (folder / STATUS).exists():
        return
    is_run = has_checkpoints(folder) or has_checkpoints(folder / "checkpoints") or find_bundle(str(folder))
    if not is_run and list_images(folder).paths:
        raise UserError(
            f"{folder} is a folder of images, not a run. To score its images: ganrun eval --folder {folder} data=NAME, "
            "or --against OTHER-FOLDER"
        )


def score_run(cfg: DictConfig) -> EvalResult:
    """Score the samples of a trained model."""
    trained = load_trained_model(cfg)
    suite = build.instantiate_optional(cfg.get("metrics") or trained.config.metrics)
    if suite is None:
        raise UserError(
            "This run was trained with metrics=none. Choose metrics, as in ganrun eval RUN metrics=lenet (digits); "
            "or inception (other images), translation (two domains) or modes (mixtures of Gaussians)."
        )
    data, model = data_for(trained, cfg), trained.model
    check_path_length(cfg, trained, suite)
    check_same_kind(trained, data)
    eval_protocol.check_protocol_data(data)
    data.reference_splits = tuple(cfg.splits or data.reference_splits)
    data.prepare_data()
    data.setup()
    warn_of_changed_data(trained, data)
    suite.prepare(data, model.device)
    protocol = suite.protocol(data, cfg.samples)
    result = EvalResult(
        {"checkpoint": str(trained.path), "kimg": trained.kimg, "data": data.name},
        suite.score(model, data, samples=cfg.samples, seed=cfg.seed, is_final=True),
        suite.real_baselines(data, cfg.samples),
        suite.score_notes(data, cfg.samples),
        shared_protocol(cfg, protocol, model.device, averaged_weights=bool(model.averaged)),
        suite.equals,
    )
    result.differences = eval_protocol.training_differences(trained, data, result.scores, protocol)
    players = getattr(trained.model, "players", None)  # which an exported model does not know
    if players is None or len(players()) > 1:  # no game, no collapse
        result.collapsed = suite.collapsed(result.scores)
    is_generator = isinstance(suite, Generation) and hasattr(trained.model, "sample")
    if cfg.copies and is_generator and data.train_count > copies.NEIGHBOURS:
        add_copies(result, trained, data, suite, cfg)
    if cfg.path_length and isinstance(suite, Generation):
        name = suite.full_name(PATH_LENGTH.name)
        result.scores[name] = path_length(model, data, suite.extractor, cfg.path_length, cfg.seed)
        result.notes |= {name: PATH_LENGTH.notes({"count": cfg.path_length}, cfg.path_length)[PATH_LENGTH.name]}
    return result


def check_path_length(cfg: DictConfig, trained: TrainedModel, suite: Suite) -> None:
    """Raise UserError if the length of paths is asked for, and the model or the scores have none."""
    if cfg.path_length:
        check_takes_latents(trained, f"path_length={cfg.path_length}")
        if not isinstance(suite, Generation):
            raise UserError(
                f"path_length={cfg.path_length} needs the features of an extractor. Choose metrics=lenet (digits) or "
                "metrics=inception (other images)."
            )
        suite.extractor.check_smooth()


def warn_of_changed_data(trained: TrainedModel, data: DataModule) -> None:
    """Log if the scores do not compare with the examples of the training, though with data of the same settings."""
    if data is trained.data and trained.fingerprint not in (None, data.contents.fingerprint):
        log.warning(
            "The files of data=%s are not those of the training: the scores compare with what is there now.", data.name
        )


def shared_protocol(cfg: DictConfig, protocol: dict, device: torch.device, **more) -> dict:
    """Return the protocol of a suite, with the name of the chosen protocol first, and seed and device last."""
    name = eval_protocol.protocol_name(cfg, protocol)
    return {**({"protocol": name} if name else {}), **protocol, **more, "seed": cfg.seed, "device": device.type}


def add_copies(result: EvalResult, trained: TrainedModel, data: DataModule, suite: Generation, cfg: DictConfig) -> None:
    """Compare samples with the nearest training images, and add the scores, if both have the same size."""
    if data.shape != trained.data.shape:
        log.info("no search for copies: samples are %s, data=%s has %s", trained.data.shape, data.name, data.shape)
        return
    report = copies.find_copies(trained.model, data, suite.extractor, cfg.copies, cfg.seed)
    result.scores |= report.scores
    result.floors |= report.baselines
    result.notes |= report.notes
    result.pictures = report.pictures


def check_same_kind(trained: TrainedModel, data: DataModule) -> None:
    """Raise UserError if the data does not hold what the model generates."""
    kinds, model = kinds_of(trained.data.possible_keys), trained.model
    examples = [name for name in kinds_needed(model.needs) if kinds.get(name) == trained.data.kind]
    wanted = {name: kinds[name] for name in (*examples, *keys_taken(model)) if name in kinds}
    if not compatibility.gives_needed(data.possible_keys, wanted):
        makes, gives = describe_keys(kinds), describe_keys(kinds_of(data.possible_keys))
        raise UserError(
            f"{trained.choices['model']} trained on {trained.choices['data']} generates {makes}, but data={data.name} "
            f"has {gives}. Leave out data=, or choose data of the same kind."
        )


def score_folders(cfg: DictConfig) -> EvalResult:
    """Score the images of a folder against those of another, or against a data set as the samples of a run are."""
    check_folders(cfg)
    fakes, real = PictureFolder(cfg.pictures, cfg.seed), real_images(cfg)
    count, device = cfg.samples or len(fakes.paths), select_device(cfg.device)
    if count > len(fakes.paths):
        raise UserError(f"{cfg.pictures} has only {len(fakes.paths):,} images, fewer than samples={count}.")
    suite = build.instantiate_optional(cfg.metrics)
    if not isinstance(suite, Generation):
        raise UserError(
            f"metrics={compatibility.chosen_options()['metrics']} cannot compare folders. "
            "Use metrics=inception or metrics=lenet."
        )
    suite.prepare(real, device)
    suite.warn_of_few(count)
    batches = ((images, None) for images in fakes.reference("x", count))
    scores = suite.score_images(batches, real, device, cfg.seed)
    protocol = suite.protocol(real, count)
    against = {"data": real.name}
    if isinstance(real, PictureFolder):
        del protocol["reference_splits"]
        against = {"against": str(real.folder)}
    return EvalResult(
        {"pictures": str(fakes.folder), **against},
        scores,
        suite.real_baselines(real, count),
        suite.score_notes(real, count),
        shared_protocol(cfg, protocol, device),
        suite.equals,
        suite.collapsed(scores),
    )


def real_images(cfg: DictConfig) -> PictureFolder | DataModule:
    """Return what the images of a folder are compared with: another folder, or the chosen data."""
    if cfg.against:
        return PictureFolder(cfg.against)
    data = build.build_data(OmegaConf.create({"data": cfg.data, "batch_size": 1, "seed": cfg.seed}))
    eval_protocol.check_protocol_data(data)
    data.reference_splits = tuple(cfg.splits or data.reference_splits)
    data.prepare_data()
    data.setup()
    return data


def check_folders(cfg: DictConfig) -> None:
    """Raise UserError for one folder without the other or data, and for settings that apply only to runs."""
    if not cfg.pictures or not (cfg.against or names_other_data(cfg)):
        missing = "--against is missing (or data=NAME)" if cfg.pictures else "--folder is missing"
        raise UserError(
            f"{missing}. To compare two folders of images: ganrun eval --folder A --against B. To score one as the "
            "samples of a run on some data: ganrun eval --folder A data=NAME"
        )
    useless = ("which", "network", "copies", "path_length", *(("data", "splits") if cfg.against else ()))
    for key in sorted(given_settings()):
        if key.partition(".")[0] in useless:
            raise UserError(
                f"{key}= has no effect on {'two folders' if cfg.against else 'a folder'} of images. Leave it out."
            )


def print_scores(content: dict, path: Path) -> None:
    """Print the content of scores.json: a table, and below it what applies to all scores."""
    console = PlainConsole(soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    console.print(score_table(content))
    same = f"FID of {content['equals']}, from the same images and weights" if content["equals"] else None
    more = {"as in training": describe_differences(content["differs_from_training"])}
    more |= {"equals": same, "collapsed": content["collapsed"], "written to": path}
    for key, value in {**content["protocol"], **more}.items():
        if value is not None and not SHOWN_IN_TABLE.fullmatch(key) and score_of_setting(key) is None:
            text = ", ".join(value) if isinstance(value, list) else value
            text = f"{value:.4g}" if isinstance(value, float) else text
            console.print(f"{key:<20}{text}", highlight=False)
    for image in sorted(path.parent.glob("*.png")):
        note = "(samples beside their nearest training images)"
        console.print(f"{'nearest images':<20}{image}   {note}", highlight=False)


def describe_differences(differences: list[str] | None) -> str | None:
    """Return whether the scores compare with those of the training, in words; None if that has none of them."""
    if differences is None:
        return None
    return (
        f"no, other {'; '.join(differences)}" if differences else "yes: the scores compare with those of the training"
    )


def score_table(content: dict) -> Table:
    table = Table(title="scores", title_justify="left")
    for name in ("score", "value", "better", "real", "N"):
        table.add_column(name, justify="right" if name in ("value", "real", "N") else "left", no_wrap=True)
    table.add_column("how", overflow="fold", no_wrap=False)
    for name, value in content["scores"].items():
        basis, floor = content["basis"][name], content["floors"].get(name)
        real, count = "" if floor is None else f"{floor:.4g}", f"{basis['samples']:,}"
        table.add_row(name, f"{value:.4g}", basis["better"], real, count, basis["how"])
    return table

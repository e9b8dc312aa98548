"""One training from start to end: trainer, logger, callbacks, lock, status."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig
from PIL.Image import DecompressionBombWarning
from pytorch_lightning.loggers import CSVLogger, Logger

from ganrun.config import build, compatibility
from ganrun.config.experiment import Experiment
from ganrun.config.hardware import name_devices
from ganrun.config.interpolations import quote_text
from ganrun.errors import Interrupted, UserError, ganrun_command
from ganrun.files import remove_abandoned
from ganrun.terminal import format_length
from ganrun.training import lock, out_of_memory, summary
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.callback_list import CallbackList
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.hparams import hyperparameters
from ganrun.training.callbacks.length import Length
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.random_states import RandomStates
from ganrun.training.callbacks.signals import Signals
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.csv_history import keep_csv_history
from ganrun.training.run_folder import explain_lost_folder, log_to_file
from ganrun.training.run_record import RunRecord
from ganrun.training.runs.registry import note_run
from ganrun.training.threads import warn_if_busy

log = logging.getLogger(__name__)
REQUIRED = (RandomStates, Length, NanGuard, LossCurves, Checkpointing, Signals)  # callbacks of every training


def silence_libraries() -> None:
    """Turn off log messages and warnings of libraries that users can do nothing about."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for module in ("pytorch_lightning", "lightning_fabric", "torchmetrics", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", category=DecompressionBombWarning)  # data/decode.py has a limit of its own
    warnings.filterwarnings("ignore", message="Please use the new API settings")  # torch 2.9's, about TF32


def is_main_process() -> bool:
    """Return whether this is the first of all ranks, whoever started them: Lightning, torchrun or Slurm."""
    return not any(int(os.environ.get(name, 0)) for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"))


def config_choices() -> dict[str, str]:
    """Return the choice in each config group of this run, without Hydra's own groups."""
    options = compatibility.chosen_options().items()
    return {group: name for group, name in options if re.fullmatch(r"\w+", group) and isinstance(name, str)}


def check_experiment(experiment: Experiment) -> None:
    """Raise UserError if the logger or the callbacks cannot do what the config says. Reads and writes nothing."""
    for key, node in build.logger_nodes(experiment.cfg).items():
        if str(node._target_).endswith("WandbLogger") and find_spec("wandb") is None:
            raise UserError("logger=wandb needs the package wandb: pip install wandb. Or use logger=tensorboard.")
        build.check_logger_arguments(key, node)
    for kind in REQUIRED:
        if not any(isinstance(callback, kind) for callback in experiment.callbacks):
            raise UserError(f"callbacks must include {kind.__name__}: every training needs it. Do not set it to null.")


def prepare_experiment(experiment: Experiment) -> None:
    """Check the experiment; read the data and what the scores need. UserError if these contradict the config."""
    check_experiment(experiment)
    experiment.load_data()


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock the run folder, in the main process for all ranks, and explain why it cannot be written."""
    if is_main_process():
        remove_abandoned(folder.parent)
    with explain_lost_folder(folder), lock.exclusive_lock(folder) if is_main_process() else nullcontext():
        yield


def run_training(
    experiment: Experiment, folder: Path, choices: Mapping[str, str], checkpoint_path: Path | None = None
) -> None:
    """Train in the run folder, from a checkpoint if there is one. Its status.json says how the training ended."""
    cfg = experiment.cfg
    cfg.folder, os.environ["GANRUN_FOLDER"] = quote_text(str(folder)), str(folder)
    record = RunRecord(folder, cfg, choices, experiment.hardware.precision, is_main_process())
    record.facts["device"] = name_devices(cfg.trainer, experiment.hardware.device)
    if is_main_process():
        note_run(folder)
    record.has_opponents = len(experiment.model.players()) > 1
    record.restore(experiment.model.images_seen)
    with log_to_file(folder):
        if is_main_process():
            announce_training(experiment, record)
        if experiment.hardware.device == "cpu" and not experiment.model.images_seen and is_main_process():
            warn_if_busy()
        fit_model(RunContext(experiment, record, choices, DurableIO(), checkpoint_path))


def announce_training(experiment: Experiment, record: RunRecord) -> None:
    """Log what is trained on what, for how long, with what and where."""
    cfg, data, model, choices = experiment.cfg, experiment.data, experiment.model, record.facts["choices"]
    classes = f" in {len(data.classes)} classes" if len(data.classes) > 1 else ""
    what = f"{choices.get('model')} on {choices.get('data')}"
    kind = data.kind if data.kind == "points" else "images"
    log.info("%s: %s %s of %s%s", what, f"{data.train_count:,}", kind, "x".join(map(str, data.shape)), classes)
    begun = f"goes on at {model.images_seen / 1000:g} kimg, " if model.images_seen else ""
    count = record.facts["threads"]
    threads = f" with {count} {'thread' if count == 1 else 'threads'}" if experiment.hardware.device == "cpu" else ""
    where = f"{experiment.hardware.device}{threads}, {record.facts['precision']}"
    log.info("%s%s on %s, to %s", begun, format_length(cfg.kimg, cfg.minutes), where, record.folder)
    warn_of_late_beginnings(cfg)


def warn_of_late_beginnings(cfg: DictConfig) -> None:
    """Log each setting of the model that says when a part of it begins, such as begin_kimg, if that is never."""
    for name, value in cfg.model.items():
        is_beginning = re.fullmatch(r"begin_(\w+_)?kimg", str(name)) and isinstance(value, int | float)
        if is_beginning and cfg.kimg is not None and value >= cfg.kimg:
            log.warning(
                "model.%s=%g: the training ends before, at kimg=%g. What begins then has no effect.",
                name,
                value,
                cfg.kimg,
            )


def fit_model(run: RunContext) -> None:
    """Train the model of a run, and write its status and summary."""
    callbacks, record, state = bind_callbacks(run), run.record, "failed"
    with run.find(Signals).caught():
        try:
            record.write_status("running")
            trainer = run.experiment.build_trainer(
                callbacks=CallbackList(callbacks),
                logger=build_loggers(run),
                default_root_dir=record.folder,
                plugins=[run.checkpoint_io],
            )
            trainer.fit(run.experiment.model, datamodule=run.experiment.data, ckpt_path=run.resumed_from)
            state = "pruned" if any(getattr(callback, "is_pruned", False) for callback in callbacks) else "done"
            summary.print_summary(run)
        except (RuntimeError, MemoryError) as error:
            if failure := out_of_memory.explain_failure(error, run.cfg):
                raise failure from error
            raise
        except Interrupted:
            state = "interrupted"
            if record.is_main_process:
                log.info("continue with    %s", ganrun_command("resume", record.folder))
            raise
        finally:
            record.images = run.experiment.model.images_seen
            record.write_status(state)


def bind_callbacks(run: RunContext) -> list[pl.Callback]:
    """Give the callbacks of the config the objects of the run; return those that it needs, in order."""
    needed = [c for c in run.experiment.callbacks if not isinstance(c, RunCallback) or c.is_needed(run)]
    run.callbacks = sorted(needed, key=lambda callback: getattr(callback, "acts_last", False))
    for callback in run.callbacks:
        if isinstance(callback, RunCallback):
            callback.bind(run)
    return run.callbacks


def build_loggers(run: RunContext) -> list[Logger]:
    """Return the loggers of the config."""
    return [build_logger(node, run) for node in build.logger_nodes(run.cfg).values()]


def build_logger(node: DictConfig, run: RunContext) -> Logger:
    """Return a logger of the config. Files drop what a killed run wrote after its last checkpoint."""
    images = run.experiment.model.images_seen
    if not str(node._target_).endswith("TensorBoardLogger"):
        logger = build.instantiate_optional(node)
        if isinstance(logger, CSVLogger) and images and run.record.is_main_process:
            keep_csv_history(logger, images)
        return logger
    logger = build.instantiate_optional(node, purge_step=images + 1 if images else None)
    logger.hparams.update(hyperparameters(run.cfg, run.choices))  # written to hparams.yaml
    return logger

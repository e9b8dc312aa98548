"""One training from start to end: trainer, logger, callbacks, lock, status."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from ganrun.config import build, compatibility
from ganrun.config.experiment import Experiment
from ganrun.errors import Interrupted, UserError
from ganrun.training import checkpoint, lock, out_of_memory, summary
from ganrun.training.callbacks.callback_list import CallbackList
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.compilation import Compilation
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.callbacks.hparams import HParams, hyperparameters
from ganrun.training.callbacks.length import Length
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.profiling import Profiling
from ganrun.training.callbacks.progress import Progress
from ganrun.training.callbacks.random_states import RandomStates
from ganrun.training.callbacks.samples import Samples
from ganrun.training.callbacks.signals import Signals
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_folder import explain_full_disk, log_to_file
from ganrun.training.run_record import RunRecord

log = logging.getLogger(__name__)
ExtraCallbacks = Callable[[RunRecord, DictConfig], list[pl.Callback]]


def no_extra(record: RunRecord, cfg: DictConfig) -> list[pl.Callback]:
    return []


def run_training(
    job: Experiment,
    folder: Path,
    choices: Mapping[str, str],
    path: Path | None = None,
    extra: ExtraCallbacks = no_extra,
) -> None:
    """Train the job in its folder, from the checkpoint `path` if there is one.

    extra: returns callbacks that act after the scores of a batch and before its checkpoint.
    """
    job.cfg.folder = os.environ["GANRUN_FOLDER"] = str(folder)
    record = RunRecord(folder, job.cfg, job.cfg.metrics.monitor, job.cfg.metrics.mode, is_main_process(), choices)
    record.restore(job.model.images_seen)
    with log_to_file(folder):
        fit_model(job, record, choices, path, extra)


def is_main_process() -> bool:
    """Whether this is the first of all ranks, whoever started them: Lightning, torchrun or Slurm."""
    ranks = [int(os.environ.get(name, 0)) for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")]
    return not any(ranks)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Within the lock of the folder, which the first process holds for all ranks; a full disk is told."""
    with explain_full_disk(folder), lock.exclusive_lock(folder) if is_main_process() else nullcontext():
        yield


def config_choices() -> dict[str, str]:
    """The choice in each config group of this run, Hydra's own left out."""
    return {
        group: name
        for group, name in compatibility.chosen_options().items()
        if "/" not in group and isinstance(name, str)
    }


def prepare_experiment(job: Experiment) -> None:
    """Reads data and finds what the scores need; refuses what turns out not to fit."""
    check_logger(job.cfg.logger)
    job.data.batches_per_step = job.cfg.trainer.get("batches_per_step", 1)  # a run of an older ganrun has none
    job.data.prepare_data()
    job.data.setup()
    compatibility.check_classes(job.cfg, job.data)
    compatibility.warn_of_repeats(job.cfg, job.data)
    if job.suite:
        compatibility.check_monitor(job.cfg, job.suite, job.suite.names(job.model, job.data))
        job.suite.prepare(job.data, torch.device("cuda" if build.uses_cuda(job.cfg.trainer) else "cpu"))


def fit_model(
    job: Experiment, record: RunRecord, choices: Mapping[str, str], path: Path | None, extra: ExtraCallbacks
) -> None:
    """Trains the job, and leaves its status behind whatever happens."""
    io = DurableIO()
    callbacks = build_callbacks(job, record, choices, io, path, extra)
    signals = next(part for part in callbacks if isinstance(part, Signals))
    record.write_status("running")
    state = "failed"
    with signals.caught():
        try:
            place = {"default_root_dir": record.folder, "plugins": [io]}
            trainer = build.build_trainer(
                job.cfg, callbacks=CallbackList(callbacks), logger=build_logger(job, choices), **place
            )
            trainer.fit(job.model, datamodule=job.data, ckpt_path=path)
            state = "pruned" if any(getattr(part, "is_pruned", False) for part in callbacks) else "done"
            summary.print_summary(job, record, callbacks)
        except (RuntimeError, MemoryError) as error:
            if failure := out_of_memory.explain_failure(error, job.cfg):
                raise failure from error
            raise
        except Interrupted:
            state = "interrupted"
            if record.is_main_process:
                log.info("go on with    ganrun resume %s", record.folder)
            raise
        finally:
            record.images = job.model.images_seen
            record.write_status(state)


def build_logger(job: Experiment, choices: Mapping[str, str]):
    """The logger of the config. TensorBoard's forgets what a killed run wrote after its last checkpoint."""
    if not str(job.cfg.logger.get("_target_")).endswith("TensorBoardLogger"):
        return build.instantiate_optional(job.cfg.logger) or False
    logger = build.instantiate_optional(
        job.cfg.logger, purge_step=job.model.images_seen + 1 if job.model.images_seen else None
    )
    logger.hparams.update(hyperparameters(job.cfg, choices))  # of hparams.yaml
    return logger


def build_callbacks(
    job: Experiment,
    record: RunRecord,
    choices: Mapping[str, str],
    io: DurableIO,
    path: Path | None = None,
    extra: ExtraCallbacks = no_extra,
) -> list[pl.Callback]:
    """In the order in which they act after a batch: the scores are there before the checkpoint that may be the best."""
    cfg = job.cfg
    curves, guard = LossCurves(record, cfg.log_every), NanGuard(record, cfg.log_every, cfg.guard, cfg.guard_skips)
    signals = Signals(lambda trainer, model: saving.save_now(trainer, model), cfg.log_every)
    evaluation = [Evaluation(job.suite, job.data, record, cfg.validate_kimg, guard, signals)] if job.suite else []
    entries = checkpoint.checkpoint_metadata(cfg, choices, job.data.contents.fingerprint)
    saving = Checkpointing(record, entries, io, guard.check, path and path.name, **cfg.checkpoint)
    parts = [
        Compilation(**build.resolve_compile(cfg)),
        RandomStates(cfg.seed),
        HParams(hyperparameters(cfg, choices)),
        Length(cfg.kimg, cfg.minutes),
        guard,
        curves,
        *evaluation,
        *(extra(record, cfg) if job.suite else []),
        Samples(job.data, record, cfg.pictures_kimg, signals),
        saving,
        signals,
        Progress(record, curves, cfg.kimg, cfg.minutes),
    ]
    return [Profiling(record.folder / "profile", parts), *parts] if cfg.get("profile") else parts


def check_logger(node: DictConfig) -> None:
    """Refuses a logger whose package is not installed."""
    if str(node.get("_target_")).endswith("WandbLogger") and find_spec("wandb") is None:
        raise UserError("logger=wandb needs the package wandb: pip install wandb. Or take logger=tensorboard.")


def silence_libraries() -> None:
    """Silences what a user of ganrun can do nothing about."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for module in ("pytorch_lightning", "lightning_fabric", "torchmetrics", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message="Please use the new API settings")  # torch 2.9's, of TF32

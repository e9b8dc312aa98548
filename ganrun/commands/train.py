"""ganrun train: trains a model and says how it went."""

import logging
import os
import signal
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ganrun import build, checkpoint, checks
from ganrun.callbacks.checkpointing import Checkpointing
from ganrun.callbacks.curves import Curves
from ganrun.callbacks.evaluation import Evaluation
from ganrun.callbacks.hparams import HParams, hyperparameters
from ganrun.callbacks.length import Length
from ganrun.callbacks.progress import Progress
from ganrun.callbacks.samples import Samples
from ganrun.callbacks.together import Together
from ganrun.commands import plan, summary
from ganrun.errors import UserError
from ganrun.job import Job, make_job
from ganrun.record import Record, make_folder, writable

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> None:
    """Trains what the config says into the new folder `folder`."""
    quiet_libraries()
    is_rank = "LOCAL_RANK" in os.environ  # one of several processes, started by the first, which made the folder
    job = make_job(cfg)
    writable(folder.absolute())
    if cfg.dry_run:
        job.data.look()
        plan.show(job, folder)
        return
    check_logger(cfg.logger)
    job.data.prepare_data()
    job.data.setup()
    checks.classes(cfg, job.data)
    checks.batch(cfg, job.data)
    if job.suite:
        checks.monitor(cfg, job.suite, job.suite.names(job.model, job.data))
        job.suite.prepare(job.data, torch.device("cuda" if build.on_cuda(cfg.trainer) else "cpu"))
    folder = folder if is_rank else make_folder(folder)
    cfg.folder = os.environ["GANRUN_FOLDER"] = str(folder)
    fit(job, Record(folder, cfg, cfg.metrics.monitor, cfg.metrics.mode, speaks=not is_rank))


def fit(job: Job, record: Record) -> None:
    """Trains the job, and leaves its status behind whatever happens."""
    handler = logging.FileHandler(record.folder / "train.log")
    logging.getLogger("ganrun").addHandler(handler)
    callbacks = callbacks_of(job, record)
    record.status("running")
    state = "failed"
    try:
        logger = build.made(job.cfg.logger) or False
        trainer = build.trainer(job.cfg, callbacks=Together(callbacks), logger=logger)
        trainer.fit(job.model, datamodule=job.data)
        state = "done"
        summary.show(job, record, callbacks)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the first into the second and leaves Ctrl-C ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        state = "interrupted"
        raise KeyboardInterrupt from None
    finally:
        record.images = job.model.images_seen
        record.status(state)
        logging.getLogger("ganrun").removeHandler(handler)
        handler.close()


def callbacks_of(job: Job, record: Record) -> list[pl.Callback]:
    """In the order in which they act after a batch: the scores are there before the checkpoint that may be the best."""
    cfg = job.cfg
    curves = Curves(record, cfg.log_every)
    evaluation = [Evaluation(job.suite, job.data, record, cfg.validate_kimg)] if job.suite else []
    choices = HydraConfig.get().runtime.choices
    scores = job.suite.names(job.model, job.data) if job.suite else []
    entries = checkpoint.own_entries(cfg, choices)
    return [
        HParams(hyperparameters(cfg, choices), scores),
        Length(cfg.kimg, cfg.minutes),
        curves,
        *evaluation,
        Samples(job.data, record, cfg.pictures_kimg),
        Checkpointing(record, entries, cfg.checkpoint_kimg),
        Progress(record, curves, cfg.kimg, cfg.minutes),
    ]


def check_logger(node: DictConfig) -> None:
    """Refuses a logger whose package is not installed."""
    if str(node.get("_target_")).endswith("WandbLogger") and find_spec("wandb") is None:
        raise UserError("logger=wandb needs the package wandb: pip install wandb. Or take logger=tensorboard.")


def quiet_libraries() -> None:
    """Silences what a user of ganrun can do nothing about."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for module in ("pytorch_lightning", "lightning_fabric", "torchmetrics", "torch"):
        warnings.filterwarnings("ignore", module=rf"{module}\.")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")

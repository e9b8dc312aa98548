"""ganrun train: trains a model and says how it went."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from ganrun.cli.commands import dry_run
from ganrun.config.experiment import build_experiment
from ganrun.sweep import pruning
from ganrun.training import lock, run_folder
from ganrun.training.run_folder import check_writable, make_run_folder
from ganrun.training.session import (
    config_choices,
    is_main_process,
    prepare_experiment,
    run_lock,
    run_training,
    silence_libraries,
)

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> None:
    """Trains what the config says into the new folder `folder`, or goes on with the run that is there."""
    silence_libraries()
    if cfg.resume and (folder / run_folder.STATUS).exists():
        from ganrun.cli.commands import resume  # which trains by this module

        resume.resume_existing(cfg, folder)
        return
    job = build_experiment(cfg)
    check_writable(folder.absolute())
    if cfg.dry_run:
        job.data.check_files()
        dry_run.print_plan(job, folder)
        return
    prepare_experiment(job)
    if is_main_process() and not (cfg.resume and is_abandoned_start(folder)):
        folder = make_run_folder(folder)
    with run_lock(folder):
        run_training(job, folder, config_choices(), extra=pruning.pruning_callbacks)


def is_abandoned_start(folder: Path) -> bool:
    """Whether a start was killed in this folder before it had told anything."""
    return folder.is_dir() and ((folder / lock.LOCK_FILE).exists() or not any(folder.iterdir()))

"""ganrun train: trains a model and says how it went."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from ganrun.cli.commands import dry_run
from ganrun.config.experiment import build_experiment
from ganrun.sweep import pruning
from ganrun.training import checkpoint, lock
from ganrun.training.run_folder import make_folder, writable
from ganrun.training.session import choices_taken, held, is_first, prepare, quiet_libraries, start

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> None:
    """Trains what the config says into the new folder `folder`, or goes on with the run that is there."""
    quiet_libraries()
    if cfg.resume and (folder / checkpoint.STATUS).exists():
        from ganrun.cli.commands import resume  # which trains by this module

        resume.resume_existing(cfg, folder)
        return
    job = build_experiment(cfg)
    writable(folder.absolute())
    if cfg.dry_run:
        job.data.look()
        dry_run.print_plan(job, folder)
        return
    prepare(job)
    if is_first() and not (cfg.resume and is_abandoned_start(folder)):
        folder = make_folder(folder)
    with held(folder):
        start(job, folder, choices_taken(), extra=pruning.pruning_callbacks)


def is_abandoned_start(folder: Path) -> bool:
    """Whether a start was killed in this folder before it had told anything."""
    return folder.is_dir() and ((folder / lock.NAME).exists() or not any(folder.iterdir()))

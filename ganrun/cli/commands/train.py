"""ganrun train: trains a model on a data set."""

import os
from pathlib import Path

from omegaconf import DictConfig

from ganrun.config.compatibility import drop_unused_networks
from ganrun.config.experiment import build_experiment
from ganrun.config.interpolations import quote_text
from ganrun.config.unused import check_added_settings
from ganrun.errors import ganrun_command
from ganrun.terminal import working
from ganrun.training import continuation, initial_weights, lock, metric_lines, run_folder, run_record, session
from ganrun.training.dry_run import print_plan
from ganrun.training.manifest import has_checkpoints


def run(cfg: DictConfig, folder: Path) -> None:
    """Train in the new run folder `folder`; with resume=true, continue the run that is there."""
    plan = cfg.copy()  # building replaces references to other settings by their values
    cfg.started_in = quote_text(os.getcwd())
    if cfg.resume:
        run_folder.check_contents(folder, command=ganrun_command("resume", folder, "trust=true"))
    if cfg.resume and ((folder / run_folder.STATUS).exists() or has_checkpoints(folder / "checkpoints")):
        drop_unused_networks(cfg)
        continuation.resume_existing(cfg, folder)
        return
    with working("building the networks ..."):
        experiment = build_experiment(cfg)
    check_added_settings(plan, [player.name for player in experiment.model.players()])
    run_folder.check_writable(folder.absolute())
    initial_weights.start_from_source(cfg, experiment.model)
    if cfg.dry_run:
        experiment.data.check_files()
        print_plan(experiment, folder, session.config_choices())
        return
    session.prepare_experiment(experiment)
    # A start of version 0.1 may have been killed before it wrote anything into this folder
    is_abandoned = folder.is_dir() and ((folder / lock.LOCK_FILE).exists() or not any(folder.iterdir()))
    is_abandoned = is_abandoned and not any(metric_lines.read_metric_lines(folder / "metrics.jsonl"))
    choices = session.config_choices()
    if session.is_main_process() and not (cfg.resume and is_abandoned):
        precision = experiment.hardware.precision
        folder = run_folder.make_run_folder(
            folder, lambda partial: run_record.write_start(partial, cfg, choices, precision)
        )
    with session.run_lock(folder):
        session.run_training(experiment, folder, choices)

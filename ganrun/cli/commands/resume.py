"""ganrun resume: continues a run from its last checkpoint, or starts a branch of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ganrun.config import resume_rules, trust
from ganrun.config.interpolations import quote_text
from ganrun.config.relative_paths import anchor_paths
from ganrun.errors import UserError, ganrun_command
from ganrun.training import branching, checkpoint, continuation, run_folder, session


def run(cfg: DictConfig, folder: Path) -> None:
    """Continue the run in its own folder; with branch=true, start a new run from its checkpoint."""
    if not session.is_main_process():  # the main process has chosen the run folder
        cfg.run, cfg.branch = quote_text(os.environ["GANRUN_FOLDER"]), False
    run_dir, path = checkpoint.find_run(cfg.run, cfg.which if cfg.branch else "last", bool(cfg.trust))
    overrides = list(cfg.get("changes") or [])

    def build_config(content: Any, choices: Mapping[str, str] | None = None) -> DictConfig:
        saved = anchor_paths(trust.open_saved_config(content, path or run_dir, bool(cfg.trust)))
        if not cfg.trust:
            trust.check_logger_paths(saved, run_dir, path or run_dir)
        saved = resume_rules.restore_references(saved, choices) if choices else saved
        config = resume_rules.apply_overrides(saved, overrides)
        resume_rules.check_init_from(saved, config)
        return config if cfg.branch else continuation.check_changes(cfg.run, saved, config, overrides)

    if cfg.branch:
        if path is None:
            command = ganrun_command("resume", cfg.run)
            raise UserError(f"{run_dir} has no checkpoint to branch from. Continue it first: {command}")
        content = checkpoint.load_checkpoint(path)
        saved, choices = continuation.load_plan(run_dir, content)
        config = build_config(saved, choices)
        choices = resume_rules.update_choices(choices, overrides)
        if branch := branching.make_branch(config, choices, path, content, cfg.folder, bool(cfg.fresh)):
            continuation.continue_training(*checkpoint.find_run(str(branch)), DictConfig)
        return
    if cfg.fresh:
        raise UserError("fresh=true is for branches: add branch=true, or leave fresh out.")
    if path and path.parent.name != "checkpoints" and not (run_dir / run_folder.STATUS).is_file():
        command = ganrun_command("resume", path, "branch=true")
        raise UserError(f"{path} is not in a run folder. To start a new run from it: {command}")
    finished = continuation.continue_training(run_dir, path, build_config)
    if finished is not None:
        longer = f"kimg={2 * finished.kimg:g}" if finished.kimg else f"minutes={2 * finished.minutes:g}"
        longer += " minutes=null" if finished.kimg and finished.minutes else ""
        raise UserError(f"{run_dir} is finished. To make it longer: {ganrun_command('resume', cfg.run)} {longer}")

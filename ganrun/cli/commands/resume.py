"""ganrun resume: goes on with a training from its last good state."""

import logging
import os
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ganrun.cli.commands import dry_run
from ganrun.config import renames, resume_rules, trust
from ganrun.config.experiment import Experiment, build_experiment
from ganrun.errors import UserError
from ganrun.sweep import pruning
from ganrun.training import checkpoint, run_folder, session
from ganrun.training.run_folder import make_run_folder

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> None:
    """Trains on in the run's own folder; as a branch, in a new one that begins with this run's state."""
    session.silence_libraries()
    words = [*(cfg.get("changes") or [])]
    if not session.is_main_process():  # a rank: the first process has found, or made, the folder
        cfg.run, cfg.branch = os.environ["GANRUN_FOLDER"], False
    place, path = checkpoint.find_run(cfg.run, cfg.which if cfg.branch else "last")
    if cfg.branch:
        start_branch(cfg, place, path, words)
        return
    if not (place / run_folder.STATUS).is_file():
        raise UserError(f"{path} lies in no run folder. To begin a new run with it: ganrun resume {path} branch=true")

    def wanted(saved: DictConfig) -> DictConfig:
        if not cfg.trust:
            trust.check_trusted(saved, path or place)
        return check_changes(cfg.run, saved, resume_rules.apply_overrides(saved, words), words)

    if not continue_training(place, path, wanted):
        told = OmegaConf.load(place / "config.yaml")
        longer = f"kimg={2 * told.kimg:g}" + (" minutes=null" if told.minutes else "")
        raise UserError(f"{place} is finished. To make it longer: ganrun resume {cfg.run} {longer}")


def resume_existing(cfg: DictConfig, folder: Path) -> None:
    """Goes on with the run of this very config in `folder`: what `ganrun train resume=true` does where there is one."""
    place, path = checkpoint.find_run(str(folder))
    if not continue_training(place, path, lambda saved: check_changes(str(folder), saved, cfg, [])):
        log.info("%s is finished", place)


def continue_training(place: Path, path: Path | None, wanted_of: Callable[[DictConfig], DictConfig]) -> bool:
    """Trains on in `place` from the checkpoint `path`, or from the beginning where nothing was saved.

    wanted_of: the config to go on with, from that of the run. False where there is nothing left to do.
    """
    with session.run_lock(place):
        content = checkpoint.load_checkpoint(path) if path else None
        saved, choices = load_plan(place, content)
        check_owner(place, choices, path)
        wanted = wanted_of(saved)
        wanted.folder = str(place)
        if is_finished(place, wanted):
            return False
        set_choices(choices)
        job = build_experiment(wanted)
        if wanted.dry_run:
            dry_run.print_plan(job, place)
            return True
        session.prepare_experiment(job)
        if content:
            check_fit(job, content, path)
            job.data.start_batch = content["seen"]["images"] // job.data.batch_size
            job.model.images_seen = content["seen"]["images"]
        log.info("%s", f"going on from {path}" if path else f"starting anew in {place}, where nothing was saved yet")
        session.run_training(job, place, choices, path, pruning.pruning_callbacks)
        return True


def start_branch(cfg: DictConfig, place: Path, path: Path | None, words: list[str]) -> None:
    """Makes a run folder whose first checkpoint is this one under the changed config, and trains on there."""
    if path is None:
        raise UserError(f"{place} has saved nothing yet that a branch could begin with: ganrun resume {cfg.run}")
    content = checkpoint.load_checkpoint(path)
    saved, choices = load_plan(place, content)
    if not cfg.trust:
        trust.check_trusted(saved, path)
    wanted = resume_rules.apply_overrides(saved, words)
    wanted.parent = str(path)
    set_choices(choices)
    job = build_experiment(wanted)
    check_networks(job, content, path)
    apply_optimizer_settings(job, content)
    name = f"{choices['model']}-{choices['data']}"
    folder = make_run_folder(Path(cfg.folder or f"outputs/train/{name}/{datetime.now():%Y-%m-%d-%H%M%S}"))
    content["ganrun"]["plan"] = OmegaConf.to_container(wanted)
    content["callbacks"] = {}  # the best, the clock and the marks are the new run's own
    Path(folder / run_folder.STATUS).write_text("{}\n")
    continue_training(folder, checkpoint.write_branch_checkpoint(folder, content), lambda saved: saved)


def apply_optimizer_settings(job: Experiment, content: Mapping[str, Any]) -> None:
    """Puts the config's rates and the like in place of those that the saved optimizers had."""
    for state, optimizer in zip(content["optimizer_states"], job.model.configure_optimizers(), strict=True):
        for old, new in zip(state["param_groups"], optimizer.param_groups, strict=True):
            old |= {name: value for name, value in new.items() if name != "params"}
            old.pop("initial_lr", None)


def load_plan(place: Path, content: Mapping[str, Any] | None) -> tuple[DictConfig, dict[str, str]]:
    """Config and choices of a run: those of its checkpoint, else those that it began with."""
    if content is None:
        try:
            saved = renames.update_config(OmegaConf.load(place / "config.yaml"))
            if "save_dir" in saved.logger:  # in this file, what followed from the folder no longer does
                saved.logger.save_dir = str(place)
            return saved, run_folder.read_status(place)["choices"]
        except (OSError, KeyError) as error:
            raise UserError(f"{place} ended before its config was written. Start it again: ganrun train") from error
    ours = content["ganrun"]
    if ours["schema"] < checkpoint.SCHEMA:
        raise UserError(f"{place} was trained by an older ganrun, which kept too little to go on from. Train anew.")
    return renames.update_config(OmegaConf.create(ours["plan"])), ours["choices"]


def check_changes(run: str, saved: DictConfig, wanted: DictConfig, words: list[str]) -> DictConfig:
    """The config that is wanted. Raises UserError where it would make another experiment of the run."""
    wanted.parent = saved.get("parent")
    for key, (before, after) in resume_rules.changed_settings(saved, wanted).items():
        if not resume_rules.is_resumable(key):
            setting = shlex.join(words) or shlex.quote(f"{key}={after}")
            raise UserError(
                f"{key} was {before} and would be {after}: that is another experiment. Leave it out, or start a new "
                f"run from this state: ganrun resume {run} branch=true {setting}"
            )
    return wanted


def is_finished(place: Path, wanted: DictConfig) -> bool:
    """Whether the run has had all its images or minutes, and its last scores."""
    told = run_folder.read_status(place)
    minutes = told.get("seconds", 0) / 60
    has_all = told.get("kimg", 0) >= wanted.kimg or (wanted.minutes is not None and minutes >= wanted.minutes)
    return told.get("state") == "done" and has_all


def set_choices(choices: Mapping[str, str]) -> None:
    """Makes the choices of the run those of this process, for its messages."""
    taken = HydraConfig.get().runtime.choices
    with read_write(taken), open_dict(taken):
        taken.update(choices)


def check_owner(place: Path, choices: Mapping[str, str], path: Path | None) -> None:
    """Refuses a checkpoint of another run: going on from it would replace this one's."""
    own = run_folder.read_status(place).get("choices", choices)
    names = [" ".join(f"{group}={told.get(group)}" for group in ("model", "data")) for told in (choices, own)]
    if names[0] != names[1]:
        raise UserError(
            f"{path} is of {names[0]}, and {place} trains {names[1]}. To begin a new run with it: "
            f"ganrun resume {path} branch=true"
        )


def check_fit(job: Experiment, content: Mapping[str, Any], path: Path) -> None:
    """Refuses a checkpoint of other networks, or of data that have changed since."""
    check_networks(job, content, path)
    if content["ganrun"]["data"] not in (None, job.data.contents.fingerprint):
        raise UserError(
            f"data={job.data.name} is no longer what {path} was trained on. Put the files back, or train anew."
        )


def check_networks(job: Experiment, content: Mapping[str, Any], path: Path) -> None:
    job.model.configure_model()
    try:
        job.model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{path} does not fit the networks of its config: {reason}") from error

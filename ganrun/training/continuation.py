"""Continues a run from a checkpoint, in its own folder. See branching.py for a new run with other settings."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ganrun.config import renames, resume_rules, schema
from ganrun.config.experiment import Experiment, build_experiment
from ganrun.config.hardware import count_devices, device_kind
from ganrun.config.interpolations import quote_text, resolver_calls, without_resolvers
from ganrun.config.overrides import quote_override
from ganrun.config.trust import explain_unusable_settings
from ganrun.errors import UserError, ganrun_command
from ganrun.training import checkpoint, initial_weights, run_folder, session
from ganrun.training.callbacks.callback_list import check_states
from ganrun.training.callbacks.length import kimg_limit
from ganrun.training.dry_run import Done, print_plan
from ganrun.training.precision import begun_precision, check_precision
from ganrun.training.threads import kept_threads

log = logging.getLogger(__name__)


def continue_training(run_dir: Path, path: Path | None, build_config: Callable[[Any], DictConfig]) -> DictConfig | None:
    """Continue the run from the checkpoint `path`, or start it again if it has none.

    Return None, or the saved config of a run that is finished, which does nothing.

    build_config: gets the run's saved config as nested dicts and returns the one to continue with.
    """
    with session.run_lock(run_dir):
        content = checkpoint.load_checkpoint(path) if path else None
        saved, choices = load_plan(run_dir, content)
        check_owner(run_dir, choices, path)
        with explain_unusable_settings(path or run_dir):
            cfg = build_config(saved)
            cfg.folder = quote_text(str(run_dir))
            if is_finished(run_dir, cfg):
                return DictConfig(saved)
            set_choices(choices)
        with kept_threads(saved_threads(run_dir, content, cfg)):
            train_on(cfg, run_dir, path, content, choices)
    return None


def train_on(
    cfg: DictConfig, run_dir: Path, path: Path | None, content: Mapping[str, Any] | None, choices: Mapping[str, str]
) -> None:
    """Train from a checkpoint `path` and its content, or from the start if both are None; or print the plan."""
    with explain_unusable_settings(path or run_dir):
        experiment = build_experiment(cfg, begun_precision(run_dir, content))
    check_precision(experiment, path)
    if content is None:
        initial_weights.start_from_source(cfg, experiment.model)
    if cfg.dry_run:
        kimg = content["seen"]["images"] / 1000 if content else 0.0
        print_plan(experiment, run_dir, choices, Done(kimg, run_folder.read_status(run_dir).get("seconds", 0.0)))
        return
    session.prepare_experiment(experiment)
    if content and path:
        with explain_unusable_settings(path):
            restore_progress(experiment, content, path)
    log_start(run_dir, path)
    session.run_training(experiment, run_dir, choices, path)


def saved_threads(run_dir: Path, content: Mapping[str, Any] | None, cfg: DictConfig) -> int | None:
    """Return the number of CPU threads that the run began with.

    None if it is not recorded, as in version 0.1, or does not matter: on a GPU. Lightning sets it for several ranks.
    """
    with suppress(UserError, ValueError, TypeError, AttributeError):  # wrong settings of the trainer: reported later
        if device_kind(cfg.trainer) != "cuda" and count_devices(cfg.trainer) == 1:
            return (content["ganrun"] if content else run_folder.read_status(run_dir)).get("threads")
    return None


def log_start(run_dir: Path, path: Path | None) -> None:
    """Log from where the training goes on, and which files of the run are missing, as in an incomplete copy."""
    if path is None:
        log.info("starting %s again: it has no checkpoint yet", run_dir)
        return
    missing = [name for name in (run_folder.STATUS, "config.yaml", "metrics.jsonl") if not (run_dir / name).exists()]
    if missing:
        lost = "; the curves and scores until now are lost" if "metrics.jsonl" in missing else ""
        log.warning("%s lacks %s, which are written again%s", run_dir, " and ".join(missing), lost)
    log.info("resuming from %s", path)


def resume_existing(cfg: DictConfig, run_dir: Path) -> None:
    """Continue the run in `run_dir`, which must be of this config, if it is not finished (train resume=true)."""
    run_dir, path = checkpoint.find_run(str(run_dir))
    own = {value for _, value in resolver_calls(OmegaConf.to_container(cfg))}

    def build_config(saved: Any) -> DictConfig:
        plan = renames.update_config(without_resolvers(saved, own))
        found = OmegaConf.select(plan, "data.classes", throw_on_resolution_failure=False)
        if cfg.data.get("classes", 0) is None and isinstance(found, int):  # null: as many as are found
            cfg.data.classes = found
        if cfg.get("init_from") == "last" and plan.get("init_from") is not None:  # the run that was the last then
            cfg.init_from = quote_text(plan.init_from)
        return check_changes(str(run_dir), plan, cfg)

    if continue_training(run_dir, path, build_config) is not None:
        log.info("%s is finished", run_dir)


def load_plan(run_dir: Path, content: Mapping[str, Any] | None) -> tuple[Any, dict[str, str]]:
    """Return config and group choices of a run: from its checkpoint `content`, or from its files if there is none.

    The config is what is saved: nested dicts, neither checked nor renamed.
    """
    if content is None:
        try:
            saved: Any = run_folder.read_saved_config(run_dir)
            for node in [saved["logger"], *(saved.get("more_loggers") or {}).values()]:
                if "save_dir" in node:  # config.yaml is resolved, so save_dir no longer follows from `folder`
                    node["save_dir"] = quote_text(str(run_dir))
            return saved, run_folder.read_status(run_dir)["choices"]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{run_dir} has no checkpoint yet, and its config.yaml or status.json is missing or damaged. "
                "Start it again: ganrun train"
            ) from error
    metadata = content["ganrun"]
    if metadata["schema"] < checkpoint.SCHEMA:
        raise UserError(f"{run_dir} is a run of an older ganrun that cannot be resumed. Train it again: ganrun train")
    return metadata["plan"], metadata["choices"]


def check_changes(run: str, saved: DictConfig, cfg: DictConfig, overrides: list[str] | None = None) -> DictConfig:
    """Return `cfg`. Raise UserError if it changes a setting that must stay the same during a run.

    run: RUN as the user gave it.  overrides: the user's own, for the command in the message.
    """
    resume_rules.check_init_from(saved, cfg)
    cfg.parent = cast("dict[str, Any]", OmegaConf.to_container(saved)).get("parent")  # unresolved
    for key, (before, after) in resume_rules.changed_settings(saved, cfg).items():
        if not schema.find_setting(key).resumable:
            settings = overrides or [f"{key}={after}"]
            raise UserError(
                f"{key} cannot change from {before} to {after} during a run. Leave it out, or start a new run from "
                f"this state: {ganrun_command('resume', run, 'branch=true', *settings)}"
            )
    return cfg


def is_finished(run_dir: Path, cfg: DictConfig) -> bool:
    """Whether the run has reached the config's length and has its final scores."""
    status = run_folder.read_status(run_dir)
    kimg, seconds = status.get("kimg", 0), status.get("seconds", 0)
    is_long_enough = kimg >= kimg_limit(cfg.kimg) or (cfg.minutes is not None and seconds / 60 >= cfg.minutes)
    return status.get("state") == "done" and is_long_enough


def set_choices(choices: Mapping[str, str]) -> None:
    """Make the group choices of the run those of this process, for its messages."""
    current: Any = HydraConfig.get().runtime.choices  # a DictConfig, though Hydra declares a dict
    with read_write(current), open_dict(current):
        current.update(choices)


def restore_progress(experiment: Experiment, content: Mapping[str, Any], path: Path) -> None:
    """Set the position in the data. UserError if the checkpoint has other networks, or the data has changed since."""
    checkpoint.restore_weights(experiment.model, content, path)
    check_states(content["callbacks"].get("CallbackList", {}), experiment.callbacks)
    data = experiment.data
    if content["ganrun"]["data"] not in (None, data.contents.fingerprint):
        command = ganrun_command("resume", path, "branch=true", *moved_root(experiment.cfg, content))
        raise UserError(
            f"The files of data={data.name} have changed since {path} was written. Restore them, or train on them as "
            f"they are, in a new run from this state: {command}"
        )
    data.start_batch = content["seen"]["images"] // data.batch_size


def moved_root(cfg: DictConfig, content: Mapping[str, Any]) -> list[str]:
    """Return the override data.root=FOLDER if the config has another one than the checkpoint."""
    root, saved = (OmegaConf.select(DictConfig(node), "data.root") for node in (cfg, content["ganrun"]["plan"]))
    return [f"data.root={quote_override(root)}"] if isinstance(root, str) and root != saved else []


def check_owner(run_dir: Path, choices: Mapping[str, str], path: Path | None) -> None:
    """Raise UserError for a checkpoint of another run: continuing from it would overwrite this one."""
    own = run_folder.read_status(run_dir).get("choices") or choices
    theirs, ours = (" ".join(f"{group}={names.get(group)}" for group in ("model", "data")) for names in (choices, own))
    if theirs != ours:
        raise UserError(
            f"{path} is a checkpoint of {theirs}, but {run_dir} trains {ours}. To start a new run from it: "
            f"{ganrun_command('resume', path, 'branch=true')}"
        )

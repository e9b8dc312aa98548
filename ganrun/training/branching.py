"""Starts a branch: a new run from the checkpoint of another one, with other settings, other data or other networks."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from ganrun.config import build
from ganrun.config.experiment import Experiment, build_experiment
from ganrun.config.interpolations import quote_text
from ganrun.config.trust import explain_unusable_settings
from ganrun.files import timed_output
from ganrun.models.base import Adversarial
from ganrun.training import checkpoint, run_folder, session
from ganrun.training.callbacks.length import kimg_limit
from ganrun.training.continuation import set_choices
from ganrun.training.dry_run import Done, print_plan
from ganrun.training.fitting_weights import check_misfits, load_fitting_weights
from ganrun.training.precision import check_precision, parent_precision
from ganrun.training.run_record import write_start

log = logging.getLogger(__name__)


def make_branch(
    cfg: DictConfig,
    choices: Mapping[str, str],
    path: Path,
    content: dict[str, Any],
    folder: str | None,
    is_fresh: bool,
) -> Path | None:
    """Make a new run folder, with the checkpoint `path` and this config as its first one; None for a dry run.

    The folder appears as a whole: it can be resumed at once. A refused branch leaves none.

    content: of the checkpoint; changed here.  folder: the new run folder; None for one below outputs/train.
    is_fresh: weights that do not fit the networks of the config start anew instead of being refused.
    """
    cfg.parent = quote_text(str(path))
    if cfg.get("init_from") is not None:  # of the run: the weights of the branch are those of the checkpoint
        cfg.init_from = None
    set_choices(choices)
    with explain_unusable_settings(path):
        lengthen(cfg, content["seen"]["images"])
        recount_classes(cfg)
        experiment = build_experiment(cfg, parent_precision(content))
        check_precision(experiment, path)
        misfits = take_over_weights(experiment.model, content["state_dict"])
        check_misfits(misfits, path, is_fresh)
    name = re.sub(r"[^\w.+-]", "_", f"{choices.get('model')}-{choices.get('data')}")  # a stranger may have chosen them
    run_dir = Path(folder) if folder else timed_output("train", name)
    if cfg.dry_run:
        print_plan(experiment, run_dir, choices, Done(content["seen"]["images"] / 1000))
        return None
    session.prepare_experiment(experiment)
    cfg.folder = quote_text(str(run_dir))
    with explain_unusable_settings(path):
        adapt_checkpoint(content, experiment, choices, misfits)

    def write(partial: Path) -> None:
        checkpoint.write_branch_checkpoint(partial, content)
        write_start(partial, cfg, choices, experiment.hardware.precision, content["seen"]["images"])

    return run_folder.make_run_folder(run_dir, write)


def lengthen(cfg: DictConfig, images: int) -> None:
    """If the checkpoint has reached the config's length already, let the branch train for that length again."""
    kimg = images / 1000
    if kimg >= kimg_limit(cfg.kimg):
        cfg.kimg = kimg + cfg.kimg
        log.info("kimg=%g: the checkpoint has seen %g already. Set kimg= for another length.", cfg.kimg, kimg)


def recount_classes(cfg: DictConfig) -> None:
    """Set data.classes to what the files have now, where they say it: folders of classes may have been added."""
    if cfg.data.get("classes") and (count := build.build_data(cfg).source.count_classes()):
        cfg.data.classes = count


def take_over_weights(model: Adversarial, state: Mapping[str, Any]) -> dict[str, str]:
    """Load the weights that fit the model's networks and averages, by name and shape; return {name: reason} of others.

    A network that was not averaged in the checkpoint starts as its own average.
    """
    load_fitting_weights(model, state)
    model.configure_model()
    misfits = load_fitting_weights(model, state)
    return {name: why for name, why in misfits.items() if not (name.startswith("averaged.") and why.startswith("not"))}


def adapt_checkpoint(
    content: dict[str, Any], experiment: Experiment, choices: Mapping[str, str], misfits: Mapping[str, str]
) -> None:
    """Make the content of a checkpoint one of the new run, in place."""
    fingerprint, before = experiment.data.contents.fingerprint, content["ganrun"]["data"]
    if before not in (None, fingerprint):
        log.info("fine-tuning on other data than before: %d training examples", experiment.data.train_count)
    content["optimizer_states"] = optimizer_states(experiment.model, content["optimizer_states"], misfits)
    content["state_dict"] = merge_states(experiment.model, content["state_dict"], misfits, before == fingerprint)
    contents, precision = experiment.data.contents, experiment.hardware.precision
    content["ganrun"] = checkpoint.checkpoint_metadata(experiment.cfg, choices, contents, precision)
    content["callbacks"] = {}  # the callbacks start with no best score, and a new clock and schedule


def merge_states(
    model: Adversarial, saved: Mapping[str, Any], misfits: Mapping[str, str], has_same_data: bool
) -> dict[str, Any]:
    """Return the model's state dict, with the saved weights that fit, in their precision.

    Extra state, such as a pool of generated images, belongs to its data.
    """

    def is_kept(name: str) -> bool:
        return name in saved and name not in misfits and (has_same_data or isinstance(saved[name], Tensor))

    return {name: saved[name] if is_kept(name) else value for name, value in model.state_dict().items()}


def optimizer_states(
    model: Adversarial, saved: list[dict[str, Any]], misfits: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the saved states of the optimizers with the settings of the config; new ones where weights do not fit."""
    names = {id(w): name for name, w in model.named_parameters()}
    optimizers, states = model.configure_optimizers(), []
    for i, optimizer in enumerate(optimizers):
        state, groups = optimizer.state_dict(), optimizer.param_groups
        is_fitting = len(saved) == len(optimizers) and [len(group["params"]) for group in groups] == [
            len(group["params"]) for group in saved[i]["param_groups"]
        ]
        if is_fitting and not any(names[id(w)] in misfits for group in groups for w in group["params"]):
            state["state"] = saved[i]["state"]
        states.append(state)
    return states

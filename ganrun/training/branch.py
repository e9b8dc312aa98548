"""Starts a new run from a checkpoint of another one, with other settings."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.config.experiment import Experiment, build_experiment
from ganrun.training import checkpoint, run_folder
from ganrun.training.continuation import PrintPlan, check_networks, continue_training, set_choices


def start_branch(
    cfg: DictConfig,
    choices: Mapping[str, str],
    path: Path,
    content: dict[str, Any],
    folder: str | None,
    print_plan: PrintPlan,
) -> None:
    """Write the checkpoint `path` with this config as the first one of a new run folder, and train there.

    content: of the checkpoint; changed here.  folder: the new run folder; None for one below outputs/train.
    """
    cfg.parent = str(path)
    set_choices(choices)
    experiment = build_experiment(cfg)
    check_networks(experiment, content, path)
    name = f"{choices['model']}-{choices['data']}"
    run_dir = Path(folder or f"outputs/train/{name}/{datetime.now():%Y-%m-%d-%H%M%S}")
    if cfg.dry_run:
        print_plan(experiment, run_dir)
        return
    apply_optimizer_settings(experiment, content)
    run_dir = run_folder.make_run_folder(run_dir)
    content["ganrun"]["plan"] = OmegaConf.to_container(cfg)
    content["callbacks"] = {}  # best score, clock and schedule of the callbacks start anew
    (run_dir / run_folder.STATUS).write_text("{}\n")
    first = checkpoint.write_branch_checkpoint(run_dir, content)
    continue_training(run_dir, first, lambda saved: saved, print_plan)


def apply_optimizer_settings(experiment: Experiment, content: Mapping[str, Any]) -> None:
    """Replace learning rates and other settings of the saved optimizers by those of the config."""
    for state, optimizer in zip(content["optimizer_states"], experiment.model.configure_optimizers(), strict=True):
        for old, new in zip(state["param_groups"], optimizer.param_groups, strict=True):
            old |= {name: value for name, value in new.items() if name != "params"}
            old.pop("initial_lr", None)

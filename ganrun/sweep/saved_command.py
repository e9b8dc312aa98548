"""Whether what a sweep.json says may be run: it may be somebody else's, who could name classes, folders and servers."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ganrun.config import interpolations, renames, trust
from ganrun.errors import UserError, ganrun_command
from ganrun.sweep.plan import SweepPlan
from ganrun.sweep.search.space import SearchSpace
from ganrun.sweep.state import SWEEP_FILE, SweepState

TARGET = re.compile(r"_target_['\"]?\s*[:=]\s*['\"]?([^\s'\",}\]]+)")
HYDRA = re.compile(r"(^|\W)hydra(\W|$)")  # in a key: hydra/launcher, +x@hydra.launcher


def check_command(command: Sequence[str], flags: Mapping[str, str], source: Path, trusting: str) -> None:
    """Raise UserError unless these overrides and flags ask only for what ganrun itself has.

    source: the file that holds them.  trusting: the command that runs them all the same.
    """
    for name, value in flags.items():
        trust.refuse(source, name, value, "is not ganrun's own configs", trusting)
    for override in command:
        key, _, value = override.partition("=")
        if reason := refusal_reason(override, key):
            trust.refuse(source, key, value, reason, trusting)


def refusal_reason(override: str, key: str) -> str:
    """Return why an override of a saved command needs trust; "" if it does not."""
    if key.startswith("-"):
        return "is a flag, not a setting"
    if HYDRA.search(key):
        return "sets what Hydra starts, and where it looks for configs"
    if key.lstrip("+").startswith("sweep") and re.search("sbatch|storage", override):
        return "sets the options of Slurm or the database of the study"
    if interpolations.calls_resolver(override):
        return "computes its value with a resolver"
    targets = map(renames.current_name, TARGET.findall(override))
    if any(target not in {*trust.trusted_classes(), "null"} for target in targets):
        return "is not one of ganrun's own classes; building it runs its code"
    return ""


def check_configs(plan: SweepPlan, configs: Sequence[DictConfig]) -> None:
    """Raise UserError if a sweep whose command was saved names classes not of ganrun, or writes elsewhere.

    configs: in which each value of each axis occurs.
    """
    source = plan.folder / SWEEP_FILE
    trusting = ganrun_command("sweep", "resume", plan.folder, "trust=true")
    check_command(
        [*plan.space.fixed, *(f"{axis.key}={','.join(axis.values)}" for axis in plan.space.axes)], {}, source, trusting
    )
    for config in configs:
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        trust.check_trusted(renames.update_config(own), source, trusting)
        trust.check_logger_paths(own, plan.folder / "job", source, trusting)


def check_jobs(sweep: SweepState, space: SearchSpace) -> None:
    """Raise UserError if a job of the sweep's file is not one of its search space: its values are run as settings."""
    axes = {axis.key: axis for axis in space.axes}
    for job in sweep.jobs:
        wrong = [key for key, value in job.values.items() if key not in axes or not axes[key].contains(value)]
        if wrong or job.seed not in space.seeds:
            setting = f"{wrong[0]}={job.values[wrong[0]]}" if wrong else f"seed={job.seed}"
            raise UserError(
                f"{sweep.folder / SWEEP_FILE} is damaged: its job {job.name} has {setting}, which is not in the sweep. "
                "Start again with sweep.fresh=true."
            )

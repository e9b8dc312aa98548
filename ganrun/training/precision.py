"""The precision that trainer.precision=auto chose when a run began, kept when it goes on: the same weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganrun.config.experiment import Experiment
from ganrun.config.precision import BFLOAT16, UNRECORDED, missing_bfloat16
from ganrun.errors import UserError, ganrun_command
from ganrun.training import run_folder


def begun_precision(run_dir: Path, content: Mapping[str, Any] | None) -> str | None:
    """Return the precision of a run from the content of its checkpoint; UNRECORDED if it is not there, as in 0.1.

    A run without a checkpoint starts again: None if it then may choose float32 on a CPU that lacks bfloat16.
    """
    if content is not None:
        return content["ganrun"].get("precision", UNRECORDED)
    recorded = run_folder.read_status(run_dir).get("precision", UNRECORDED)
    return None if recorded == BFLOAT16 else recorded


def parent_precision(content: Mapping[str, Any]) -> str | None:
    """Return the precision that a branch takes over from the content of its parent's checkpoint, if `auto` chose it."""
    trainer = content["ganrun"]["plan"].get("trainer")
    is_chosen = isinstance(trainer, Mapping) and trainer.get("precision") == "auto"
    return content["ganrun"].get("precision", UNRECORDED) if is_chosen else None


def check_precision(experiment: Experiment, path: Path | None) -> None:
    """Raise UserError if `auto` chose bfloat16 when the run of the checkpoint began, and this device lacks it."""
    hardware = experiment.hardware
    if hardware.precision != BFLOAT16 or experiment.cfg.trainer.precision != "auto":
        return
    if missing := missing_bfloat16(hardware.device):
        command = ganrun_command("resume", path, "branch=true", "trainer.precision=32-true")
        raise UserError(
            f"trainer.precision=auto chose {BFLOAT16} when the run of {path} began, and {missing}. Resume it on a "
            f"machine that does (its CPU has avx512_bf16), or go on in float32 in a new run from this state: {command}"
        )

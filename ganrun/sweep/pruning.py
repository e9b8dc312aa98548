"""Pruning: the early end of unpromising runs of a sweep."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from ganrun.sweep import state
from ganrun.sweep.report.results import RunResult, load_result
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.length import kimg_limit

log = logging.getLogger(__name__)
KIMG_TOLERANCE = 1.02  # scores whose kimg differ by this factor at most are compared with each other


class Pruning(RunCallback):
    """Ends this run if Optuna's pruner finds it unpromising; asks after each evaluation. Must come after Evaluation.

    The run is compared with the finished jobs of the sweep that have the same score protocol, by the scores up to the
    same kimg. The decision depends only on files and on the jobs' numbers: a sweep that trains one job at a time
    prunes the same runs every time.
    """

    needs_all_scores = True

    def __init__(self):
        self.is_pruned = False
        self.evaluations = 0  # number that the pruner has judged

    def is_needed(self, run: RunContext) -> bool:
        return run.experiment.suite is not None and bool(load_settings().get("pruner"))

    def bind(self, run: RunContext) -> None:
        self.record, self.kimg = run.record, kimg_limit(run.cfg.kimg)
        self.folder, self.settings = Path(os.environ[state.SWEEP_VARIABLE]), load_settings()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.evaluations = len(self.record.history)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if len(self.record.history) == self.evaluations or pl_module.progress >= 1:
            return
        self.evaluations = len(self.record.history)
        if trainer.strategy.broadcast(self._is_unpromising() if trainer.is_global_zero else None):
            self.is_pruned = trainer.should_stop = True
            log.info("pruned at %g kimg: other runs of the sweep had better scores", pl_module.images_seen / 1000)

    def _is_unpromising(self) -> bool:
        import optuna
        from optuna.pruners import HyperbandPruner, MedianPruner

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        own = self._load_result(self.record.folder)
        if not own.history:
            return False
        marks = [kimg for kimg, _ in own.history]
        study = optuna.create_study(study_name="ganrun", direction="minimize" if own.mode == "min" else "maximize")
        for job in state.load_sweep(self.folder).jobs:
            other = self._load_result(self.folder / job.name) if job.state.is_finished else RunResult()
            if other.history and other.protocol == own.protocol:
                study.add_trial(build_trial(scores_at(other.history, marks), other.history[-1][1]))
        study.add_trial(build_trial([score for _, score in own.history]))
        if self.settings["pruner"] == "hyperband":
            complete = len(marks) * self.kimg / marks[-1]  # number in a complete run
            evaluations = round(complete) if math.isfinite(complete) else 10
            pruner = HyperbandPruner(min_resource=1, max_resource=max(2, evaluations))
        else:
            pruner = MedianPruner(n_startup_trials=self.settings["pruner_startup"], n_warmup_steps=1)
        return pruner.prune(study, study.trials[-1])

    def _load_result(self, folder: Path) -> RunResult:
        return load_result(folder, self.settings.get("metric"), self.settings.get("direction"))


def scores_at(history: Sequence[tuple[float, float]], marks: Sequence[float]) -> list[float]:
    """Return the last score at or before each mark (kimg), for the marks that the history reaches."""
    scores = []
    for mark in marks:
        before = [score for kimg, score in history if kimg <= mark * KIMG_TOLERANCE]
        if before and history[-1][0] * KIMG_TOLERANCE >= mark:
            scores.append(before[-1])
    return scores


def build_trial(scores: Sequence[float], value: float | None = None) -> Any:
    """Return a run as an Optuna trial, its i-th score at step i. value: of a finished run; NaN if it failed."""
    from optuna.trial import TrialState, create_trial

    steps = {i: score for i, score in enumerate(scores) if score == score}
    if value is None:
        return create_trial(state=TrialState.RUNNING, intermediate_values=steps)
    if value != value:
        return create_trial(state=TrialState.FAIL, intermediate_values=steps)
    return create_trial(state=TrialState.COMPLETE, value=value, intermediate_values=steps)


def load_settings() -> dict[str, Any]:
    """Return the settings of the sweep that this run is a job of; {} outside a sweep."""
    folder = os.environ.get(state.SWEEP_VARIABLE)
    return state.load_sweep(Path(folder)).definition["settings"] if folder else {}

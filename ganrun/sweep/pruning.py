"""The early end of a sweep's job that does worse than the others did."""

import logging
import os
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning import Callback

from ganrun.sweep import state
from ganrun.sweep.report import results
from ganrun.training.run_record import RunRecord

log = logging.getLogger(__name__)
KIMG_TOLERANCE = 1.02  # a score of another run counts for a mark up to so much before its own


class Pruning(Callback):
    """After each scoring asks Optuna's pruner whether this run is worth going on with; ends it where not.

    It is compared with the jobs of the sweep that have ended and were scored alike, by the scores up to the same kimg.
    What decides is on disk, and the order of ended jobs is that of their numbers: a sweep that is trained one job after
    the other prunes the same runs each time.
    Stands after Evaluation.
    """

    def __init__(self, record: RunRecord, folder: Path, settings: dict, kimg: float):
        self.record, self.folder, self.settings, self.kimg = record, folder, settings, kimg
        self.is_pruned, self.judged = False, 0

    def on_train_start(self, trainer, model):
        self.judged = len(self.record.history)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if len(self.record.history) == self.judged or model.progress >= 1:
            return
        self.judged = len(self.record.history)
        if trainer.strategy.broadcast(self._is_worse() if trainer.is_global_zero else None):
            self.is_pruned = trainer.should_stop = True
            log.info("pruned: at %g kimg others of the sweep were better", model.images_seen / 1000)

    def _is_worse(self) -> bool:
        import optuna
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        mine = self._result(self.record.folder)
        if not mine.history:
            return False
        marks = [kimg for kimg, _ in mine.history]
        study = optuna.create_study(study_name="ganrun", direction="minimize" if mine.mode == "min" else "maximize")
        for job in state.load_sweep(self.folder).jobs:
            other = self._result(self.folder / job.name) if job.state in state.FINISHED else results.RunResult()
            if other.history and other.protocol == mine.protocol:
                study.add_trial(build_trial(scores_at(other.history, marks), TrialState.COMPLETE, other.history[-1][1]))
        study.add_trial(build_trial([value for _, value in mine.history], TrialState.RUNNING))
        return build_pruner(self.settings, len(marks) * self.kimg / marks[-1]).prune(study, study.trials[-1])

    def _result(self, folder: Path) -> results.RunResult:
        return results.load_result(folder, self.settings.get("metric"), self.settings.get("direction"))


def scores_at(history: list[tuple[float, float]], marks: list[float]) -> list[float]:
    """The last value of a history at or before each mark, as far as it goes."""
    values = []
    for mark in marks:
        before = [value for kimg, value in history if kimg <= mark * KIMG_TOLERANCE]
        if len(before) and history[-1][0] * KIMG_TOLERANCE >= mark:
            values.append(before[-1])
    return values


def build_trial(values: list[float], trial_state, value: float | None = None):
    """A run as Optuna's trial, its i-th score at step i."""
    from optuna.trial import create_trial

    steps = {i: value for i, value in enumerate(values) if value == value}
    has_value = value is not None and value == value and trial_state.is_finished()
    if trial_state.is_finished() and not has_value:
        trial_state = type(trial_state).FAIL
    return create_trial(state=trial_state, value=value if has_value else None, intermediate_values=steps)


def build_pruner(settings: dict, marks: float):
    """Optuna's pruner of a sweep's settings; marks: how many scorings a whole run has."""
    from optuna import pruners

    if settings["pruner"] == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=max(2, round(marks)))
    return pruners.MedianPruner(n_startup_trials=settings["pruner_startup"], n_warmup_steps=1)


def pruning_callbacks(record: RunRecord, cfg: DictConfig) -> list[Callback]:
    """The pruning of the sweep whose job this is; none where there is no sweep, or it does not prune."""
    if state.SWEEP_VARIABLE not in os.environ:
        return []
    folder = Path(os.environ[state.SWEEP_VARIABLE])
    settings = state.load_sweep(folder).definition["settings"]
    return [Pruning(record, folder, settings, cfg.kimg)] if settings.get("pruner") else []

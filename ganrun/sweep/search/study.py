"""A search by Optuna, which several sweeps may share."""

import platform
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from ganrun.errors import Failure, UserError
from ganrun.sweep.search import samplers, storage
from ganrun.sweep.search.journal import open_journal, translate_journal_errors
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.storage import ignore_experimental_warnings, translate_storage_errors
from ganrun.sweep.search.strategy import SearchStrategy, StudyUnreachable
from ganrun.sweep.state import SweepState, describe_definition

ATTEMPTS = 4  # tries to create or open a study
# User attributes: of a trial, the id and the folder of its sweep; of the study, the definition of its sweep
SWEEP_ID, FOLDER, DEFINITION = "sweep", "folder", "what"


class StudySearch(SearchStrategy):
    """Proposes `trials` points with Optuna, based on the scores of earlier ones.

    The study is kept in study.journal of the sweep's folder, or in the database `storage`, where sweeps with other
    folders may add points to it. A point is a trial of the study, marked with the id of the sweep that trains it. The
    values depend on the seed, the trial's number and the scores reported before, not on interruptions. A point that was
    proposed and not reported (its job runs, or has failed) is not proposed again.
    """

    is_known = False

    def __init__(
        self, space: SearchSpace, sampler: str, trials: int, direction: str, seed: int, state: SweepState, storage=None
    ):
        check_axes(space.axes, sampler)
        with ignore_experimental_warnings():
            samplers.build_sampler(sampler, 0)  # raises UserError if a package is missing
        self.space, self.sampler, self.trials, self.seed, self.state = space, sampler, trials, seed, state
        self.direction: Literal["minimize", "maximize"] = "minimize" if direction == "min" else "maximize"
        self.storage = storage
        self.backend: Any = None
        self.study: Any = None
        self.points_of_others = 0  # points that other sweeps train

    @property
    def total(self) -> int:
        return self.trials - self.points_of_others

    @property
    def journal(self) -> Path:
        """The file of a study without a database."""
        return self.state.folder / "study.journal"

    @property
    def name(self) -> str:
        return self.state.study if self.storage else "ganrun"

    def propose(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        from optuna.trial import TrialState, create_trial

        with self._connected():
            trial = self._own_trial(known)
            if trial is None and len(self.study.get_trials(deepcopy=False)) < self.trials:
                # In one step, so that another process that asks meanwhile gets another number
                owner = {SWEEP_ID: self.state.id, FOLDER: f"{platform.node()}:{self.state.folder.absolute()}"}
                self.study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=owner))
                trial = self._own_trial(known)
            return None if trial is None else (trial.number, self._values(trial))

    def report(self, number: int, score: float) -> None:
        """Record the score of a point, unless it is NaN. Raises Failure if the study has lost the point."""
        if score != score:
            return
        with self._connected():
            trials = self.study.get_trials(deepcopy=False)
            if number >= len(trials) or not self._is_own(trials[number]):
                raise Failure(f"Point {number} is not in the study {self.name}: the study was deleted or replaced.")
            self.study.tell(number, score, skip_if_finished=True)

    def describe_others(self) -> str:
        if not self.points_of_others:
            return ""
        trials = []
        with suppress(StudyUnreachable), self._connected():
            trials = self.study.get_trials(deepcopy=False)[: self.trials]
        others = [trial for trial in trials if not self._is_own(trial)]
        folders = sorted({trial.user_attrs.get(FOLDER, "another sweep") for trial in others}) or ["other sweeps"]
        points = f"{self.points_of_others} of {self.trials} points of the study {self.name}"
        text = f"{points} are trained by {', '.join(folders)}"
        scores = [trial.value for trial in others if trial.value is not None]
        best = (min if self.direction == "minimize" else max)(scores, default=None)
        return text if best is None else f"{text}, the best of them with {best:.4g}"

    def delete(self) -> bool:
        import optuna

        if not self.storage or self.study is None:
            return True
        with suppress(StudyUnreachable), self._connected():
            if all(map(self._is_own, self.study.get_trials(deepcopy=False))):
                optuna.delete_study(study_name=self.name, storage=self.storage)
                return True
        return False

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Open the study, and raise StudyUnreachable for errors of its database that may pass.

        Raises UserError if the database cannot be opened at first or holds another sweep; Failure if the study was
        deleted meanwhile.
        """
        import optuna

        if not self.storage:
            with ignore_experimental_warnings(), translate_journal_errors(self.journal):
                self.study = self.study or self._open()
                yield
            return
        if self.study is None:
            with ignore_experimental_warnings(), translate_storage_errors(self.storage):
                self.study = self._open()
        try:
            with ignore_experimental_warnings():
                yield
        except Exception as error:
            from sqlalchemy.exc import SQLAlchemyError

            errors = (OSError, KeyError, optuna.exceptions.StorageInternalError, SQLAlchemyError)
            if not isinstance(error, errors):  # KeyError: of a missing study or trial
                raise
            with translate_storage_errors(self.storage, StudyUnreachable):
                if self.name not in optuna.get_all_study_names(self.backend):
                    raise Failure(f"The study {self.name} was deleted from {self.storage}.") from error
            raise StudyUnreachable(storage.describe_storage_error(self.storage, error)) from error

    def _open(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = self._create_or_load()
        definition = describe_definition(self.state.definition)
        if study.user_attrs.setdefault(DEFINITION, definition) != definition:
            raise UserError(
                f"The study {self.name} in {self.storage} belongs to another sweep, {study.user_attrs[DEFINITION]}; "
                f"this one is {definition}. Give another sweep.name=."
            )
        study.set_user_attr(DEFINITION, definition)
        return study

    def _create_or_load(self) -> Any:
        """Return the study. If two processes create the database's tables at once, one fails and must try again."""
        import optuna
        from optuna.storages import get_storage

        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                self.backend = get_storage(self.storage) if self.storage else open_journal(self.journal)
                return optuna.create_study(
                    storage=self.backend, study_name=self.name, direction=self.direction, load_if_exists=True
                )
            except Exception as error:
                if not attempts_left or isinstance(error, UserError):
                    raise
                time.sleep(0.5)

    def _is_own(self, trial: Any) -> bool:
        return trial.user_attrs.get(SWEEP_ID) == self.state.id

    def _own_trial(self, known: Collection[int]) -> Any:
        """Return the first trial of this sweep that is not known, or None."""
        trials = self.study.get_trials(deepcopy=False)[: self.trials]
        own = [trial for trial in trials if self._is_own(trial)]
        self.points_of_others = len(trials) - len(own)
        return next((trial for trial in own if trial.number not in known), None)

    def _values(self, trial: Any) -> dict[str, str]:
        """Return the values of a trial; sample those that an earlier start did not."""
        import optuna

        values: dict[str, str] = {}
        sampling = None
        for axis in self.space.axes:
            if not self.space.varies(axis, values):
                continue
            is_known = axis.key in trial.params
            if not is_known and sampling is None:
                # A new study object each time: it samples from the trials that it read first
                study = optuna.load_study(study_name=self.name, storage=self.backend)
                study.sampler = samplers.sampler_for_trial(self.sampler, self.space.axes, self.seed, trial.number)
                sampling = optuna.trial.Trial(study, trial._trial_id)
            value = trial.params[axis.key] if is_known else samplers.suggest_value(sampling, axis)
            values[axis.key] = value if isinstance(value, str) else repr(value)
            if not axis.contains(values[axis.key]):
                wrong = f"{axis.key}={values[axis.key]} of its trial {trial.number}"
                raise Failure(f"The study {self.name} is damaged: {wrong} is not in the search space.")
        return values


def check_axes(axes: Sequence[Axis], sampler: str) -> None:
    """Raise UserError if there is no axis, or an interval is empty, or a log interval starts at 0 or below."""
    if not axes:
        raise UserError(
            f"sweep={sampler} has nothing to search. Give a setting as KEY=interval(a,b) or KEY=choice(a,b)."
        )
    for axis in axes:
        if axis.is_log and axis.low <= 0:
            raise UserError(f"{axis.key}: a log interval must start above 0, got {axis.low}.")
        if axis.low > axis.high:
            raise UserError(f"{axis.key}: the interval ends at {axis.high}, below its start {axis.low}.")

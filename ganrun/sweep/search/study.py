"""Which point of a sweep comes next."""

import platform
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ganrun.errors import Failure, UserError
from ganrun.sweep.search import samplers
from ganrun.sweep.search.space import SearchSpace
from ganrun.sweep.state import SweepState, describe_definition

ATTEMPTS = 4  # to make or find a study
SWEEP, FOLDER, WHAT = "sweep", "folder", "what"  # whose a trial is, and where; what a study is of


class StudyUnreachable(Failure):
    """The study cannot be reached now, though it could be before."""


class SearchStrategy(Protocol):
    """Points by their numbers; what one came to is told when its jobs are done.

    total: how many points there are to be here.  are_known: which ones, before any of them has been trained.
    next and tell raise StudyUnreachable for what may be tried again.
    """

    total: int
    are_known: bool

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        """The number and the values of a point that is not among these; None where there is none left."""

    def tell(self, number: int, score: float) -> None: ...

    def elsewhere(self) -> str:
        """What other sweeps have done of the same study; "" where there are none."""

    def forget(self) -> bool:
        """Leaves nothing behind; whether that could be, which it cannot where others have a part in the study."""


class GridSearch:
    """All combinations, in order."""

    are_known = True

    def __init__(self, space: SearchSpace):
        self.points = space.grid()
        self.total = len(self.points)

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        number = len(known)  # they are asked for in their order
        return (number, self.points[number]) if number < self.total else None

    def tell(self, number: int, score: float) -> None:
        pass

    def elsewhere(self) -> str:
        return ""

    def forget(self) -> bool:
        return True


class StudySearch:
    """Points that Optuna proposes from what is known of the earlier ones, `trials` in all.

    The study lies in study.journal of the sweep's folder, or in the database `storage`, where the sweeps of other
    folders may work on it too, each with points of its own: a point is a trial of the study, marked with the id of the
    sweep that asked for it. A proposal depends on the seed, its number and what was told before it, not on
    interruptions. A point that was asked for and not told (its job is under way, or failed) is not proposed again.
    """

    are_known = False

    def __init__(
        self, space: SearchSpace, sampler: str, trials: int, direction: str, seed: int, state: SweepState, storage=None
    ):
        if not space.axes:
            raise UserError(
                f"sweep={sampler} has nothing to search for. Give a setting as interval(a,b) or choice(a,b)."
            )
        for axis in space.axes:
            if axis.is_log and axis.low <= 0:
                raise UserError(f"{axis.key}: orders of magnitude begin above 0, not at {axis.low}.")
            if axis.low > axis.high:
                raise UserError(f"{axis.key}: the interval ends at {axis.high}, below {axis.low}, where it begins.")
        with ignore_experimental_warnings():
            samplers.build_sampler(sampler, 0)  # refuses what is not installed
        self.space, self.sampler, self.trials, self.seed, self.state = space, sampler, trials, seed, state
        self.direction = {"min": "minimize", "max": "maximize"}[direction]
        self.storage = storage
        self.study: Any = None
        self.theirs = 0  # points that other sweeps have taken

    @property
    def total(self) -> int:
        return self.trials - self.theirs

    @property
    def name(self) -> str:
        return self.state.study if self.storage else "ganrun"

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        with self._reached():
            trial = self._mine(known)
            if trial is None and len(self.study.get_trials(deepcopy=False)) < self.trials:
                self._claim()
                trial = self._mine(known)
            return None if trial is None else (trial.number, self._values(trial))

    def tell(self, number: int, score: float) -> None:
        """A score that is no number says nothing of a point. Raises Failure where the study has lost the point."""
        if score != score:
            return
        with self._reached():
            trials = self.study.get_trials(deepcopy=False)
            if number >= len(trials) or trials[number].user_attrs.get(SWEEP) != self.state.id:
                raise Failure(f"The study {self.name} has lost point {number}: it was removed, or is another one.")
            self.study.tell(number, score, skip_if_finished=True)

    def elsewhere(self) -> str:
        if not self.theirs:
            return ""
        trials = []
        with suppress(StudyUnreachable), self._reached():
            trials = self.study.get_trials(deepcopy=False)[: self.trials]
        theirs = [trial for trial in trials if trial.user_attrs.get(SWEEP) != self.state.id]
        places = ", ".join(sorted({trial.user_attrs.get(FOLDER, "elsewhere") for trial in theirs}))
        told = f"{self.theirs} of {self.trials} points of the study {self.name} are trained by {places or 'others'}"
        scores = [trial.value for trial in theirs if trial.value is not None]
        best = (min if self.direction == "minimize" else max)(scores, default=None)
        return told + (f", the best of them with {best:.4g}" if scores else "")

    def forget(self) -> bool:
        import optuna

        if not self.storage or self.study is None:
            return True
        with suppress(StudyUnreachable), self._reached():
            if all(trial.user_attrs.get(SWEEP) == self.state.id for trial in self.study.get_trials(deepcopy=False)):
                optuna.delete_study(study_name=self.name, storage=self.storage)
                return True
        return False

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Within, the study is there. Raises UserError for a database that cannot be had, or holds another sweep.

        Failure for a study that was removed meanwhile.
        """
        if self.study is None:
            with ignore_experimental_warnings(), translate_storage_errors(self.storage):
                self.study = self._opened()
        try:
            with ignore_experimental_warnings():
                yield
        except Exception as error:
            if not (self.storage and is_storage_error(error)):
                raise
            with translate_storage_errors(self.storage, StudyUnreachable):
                self._check_is_there()
            raise StudyUnreachable(describe_storage_error(self.storage, error)) from error

    def _check_is_there(self) -> None:
        import optuna

        if self.name not in optuna.get_all_study_names(self.place):
            raise Failure(f"The study {self.name} was removed from {self.storage}.")

    def _opened(self) -> Any:
        import optuna
        from optuna import storages

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.place = storages.get_storage(self.storage or journal_storage(self.state.folder / "study.journal"))
                study = optuna.create_study(
                    storage=self.place, study_name=self.name, direction=self.direction, load_if_exists=True
                )
                break
            except Exception:  # two that begin at once both make the tables, and one fails
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.5)
        what = describe_definition(self.state.definition)
        if study.user_attrs.setdefault(WHAT, what) != what:
            raise UserError(
                f"The study {self.name} of {self.storage} is another sweep, {study.user_attrs[WHAT]}; this one is "
                f"{what}. Give another sweep.name=."
            )
        study.set_user_attr(WHAT, what)
        return study

    def _mine(self, known: Collection[int]):
        """The first trial of this sweep that is not known, if there is one."""
        trials = self.study.get_trials(deepcopy=False)[: self.trials]
        mine = [trial for trial in trials if trial.user_attrs.get(SWEEP) == self.state.id]
        self.theirs = len(trials) - len(mine)
        return next((trial for trial in mine if trial.number not in known), None)

    def _claim(self) -> None:
        """Adds a trial of this sweep to the study, in one step: whoever else asks meanwhile gets another number."""
        from optuna.trial import TrialState, create_trial

        marks = {SWEEP: self.state.id, FOLDER: f"{platform.node()}:{self.state.folder.absolute()}"}
        self.study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=marks))

    def _values(self, trial) -> dict[str, str]:
        """The values of a trial, chosen as far as an earlier start has not."""
        import optuna

        values: dict[str, str] = {}
        choosing = None
        for axis in self.space.axes:
            if not self.space.varies(axis, values):
                continue
            if axis.key not in trial.params and choosing is None:
                # A study object anew each time: it goes by the trials that it read first
                study = optuna.load_study(study_name=self.name, storage=self.place)
                study.sampler = samplers.sampler_for_trial(self.sampler, self.space.axes, self.seed, trial.number)
                choosing = optuna.trial.Trial(study, trial._trial_id)
            known = axis.key in trial.params
            chosen = trial.params[axis.key] if known else samplers.suggest_value(choosing, axis)
            values[axis.key] = chosen if isinstance(chosen, str) else repr(chosen)
        return values


@contextmanager
def translate_storage_errors(storage: str | None, error: type[UserError] = UserError) -> Iterator[None]:
    """Raises this error where the work within cannot have the database."""
    try:
        yield
    except UserError:
        raise
    except Exception as found:  # of whichever database
        if not storage:
            raise
        raise error(describe_storage_error(storage, found)) from found


def describe_storage_error(storage: str, error: Exception) -> str:
    return f"sweep.storage={storage} cannot be used: {str(error).splitlines()[0]}"


def is_storage_error(error: Exception) -> bool:
    """Whether a database says so, or the way to it; or that it has no such study or trial."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, OSError | KeyError | StorageInternalError | SQLAlchemyError)


def check_study_is_new(storage: str, name: str) -> None:
    """Raises UserError where the database holds such a study already."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with translate_storage_errors(storage):
        if name in optuna.get_all_study_names(storage):
            raise UserError(
                f"The study {name} is in {storage} already, maybe with points of others, and is not begun anew. Give "
                f"another sweep.name=, or remove it: optuna --storage {storage} delete-study --study-name {name}"
            )


def journal_storage(path: Path):
    """Optuna's storage in a file that several machines may share."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


@contextmanager
def ignore_experimental_warnings() -> Iterator[None]:
    """Without Optuna's warnings that something of it may change."""
    import warnings

    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

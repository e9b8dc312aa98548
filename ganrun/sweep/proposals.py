"""Which point of a sweep comes next."""

import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from ganrun.errors import UserError
from ganrun.sweep.space import Axis, Space
from ganrun.sweep.state import State, described

SWEEP, FOLDER, WHAT = "sweep", "folder", "what"  # whose a trial is, and where; what a study is of


class Proposals(Protocol):
    """Points by their numbers; what one came to is told when its jobs are done.

    total: how many points there are to be here.
    """

    total: int

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        """The number and the values of a point that is not among these; None where there is none left."""

    def tell(self, number: int, score: float) -> None: ...

    def others(self) -> str:
        """What other sweeps have done of the same study; "" where there are none."""


class Grid:
    """All combinations, in order."""

    def __init__(self, space: Space):
        self.points = space.grid()
        self.total = len(self.points)

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        return next(((number, values) for number, values in enumerate(self.points) if number not in known), None)

    def tell(self, number: int, score: float) -> None:
        pass

    def others(self) -> str:
        return ""


class Search:
    """Points that Optuna proposes from what is known of the earlier ones, `trials` in all.

    The study lies in study.journal of the sweep's folder, or as `name` in the database `storage`, which the sweeps of
    other folders may work on too, each with points of its own: a point is a trial of the study, marked with the id of
    the sweep that asked for it. A proposal depends on the seed, its number and what was told before it, not on
    interruptions: each has a sampler of its own. A point that was asked for and not told (its job is under way, or
    failed) is not proposed again.
    """

    def __init__(
        self, space: Space, sampler: str, trials: int, direction: str, seed: int, state: State, storage=None, name=""
    ):
        if not space.axes:
            raise UserError(
                f"sweep={sampler} has nothing to search for. Give a setting as interval(a,b) or choice(a,b)."
            )
        for axis in space.axes:
            if axis.is_log and axis.low <= 0:
                raise UserError(f"{axis.key}: orders of magnitude begin above 0, not at {axis.low}.")
        with quietly():
            made_sampler(sampler, 0)  # refuses what is not installed
        self.space, self.sampler, self.trials, self.seed, self.state = space, sampler, trials, seed, state
        self.direction = {"min": "minimize", "max": "maximize"}[direction]
        self.storage, self.name = storage, name or "ganrun"
        self.elsewhere = 0  # points that other sweeps have taken

    @property
    def total(self) -> int:
        return self.trials - self.elsewhere

    @cached_property
    def study(self):
        """The study, made or found when it is first needed. Raises UserError for a database that is not to be had."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with usable(self.storage):
            study = optuna.create_study(
                storage=self.storage or journal(self.state.folder / "study.journal"),
                study_name=self.name,
                direction=self.direction,
                load_if_exists=True,
            )
        what = described(self.state.definition)
        if study.user_attrs.setdefault(WHAT, what) != what:
            raise UserError(
                f"The study {self.name} of {self.storage} is another sweep, {study.user_attrs[WHAT]}; this one is "
                f"{what}. Give another sweep.name=."
            )
        study.set_user_attr(WHAT, what)
        return study

    def next(self, known: Collection[int]) -> tuple[int, dict[str, str]] | None:
        trial = self._mine(known)
        if trial is None and len(self.study.get_trials(deepcopy=False)) < self.trials:
            self._claim()
            trial = self._mine(known)
        return None if trial is None else (trial.number, self._values(trial))

    def tell(self, number: int, score: float) -> None:
        """A score that is no number says nothing of a point."""
        if score == score:
            with quietly():
                self.study.tell(number, score, skip_if_finished=True)

    def others(self) -> str:
        if not self.elsewhere:
            return ""
        trials = self.study.get_trials(deepcopy=False)[: self.trials]
        theirs = [trial for trial in trials if trial.user_attrs.get(SWEEP) != self.state.id]
        places = ", ".join(sorted({trial.user_attrs.get(FOLDER, "elsewhere") for trial in theirs}))
        told = f"{len(theirs)} of {self.trials} points of the study {self.name} are trained by {places}"
        scores = [trial.value for trial in theirs if trial.value is not None]
        best = (min if self.direction == "minimize" else max)(scores, default=None)
        return told + (f", the best of them with {best:.4g}" if scores else "")

    def _mine(self, known: Collection[int]):
        """The first trial of this sweep that is not known, if there is one."""
        trials = self.study.get_trials(deepcopy=False)[: self.trials]
        mine = [trial for trial in trials if trial.user_attrs.get(SWEEP) == self.state.id]
        self.elsewhere = len(trials) - len(mine)
        return next((trial for trial in mine if trial.number not in known), None)

    def _claim(self) -> None:
        """Adds a trial of this sweep to the study, in one step: whoever else asks meanwhile gets another number."""
        from optuna.trial import TrialState, create_trial

        marks = {SWEEP: self.state.id, FOLDER: f"{platform.node()}:{self.state.folder.absolute()}"}
        self.study.add_trial(create_trial(state=TrialState.RUNNING, user_attrs=marks))

    def _values(self, trial) -> dict[str, str]:
        """The values of a trial, chosen as far as an earlier start has not."""
        from optuna.trial import Trial

        values: dict[str, str] = {}
        chooser = None
        with quietly():
            for axis in self.space.axes:
                if not self.space.varies(axis, values):
                    continue
                if axis.key not in trial.params and chooser is None:
                    number = trial.number if self.sampler != "sobol" else 0  # one sequence
                    self.study.sampler = made_sampler(self.sampler, seed_of(self.seed, number))
                    chooser = Trial(self.study, trial._trial_id)
                chosen = trial.params[axis.key] if axis.key in trial.params else suggested(chooser, axis)
                values[axis.key] = chosen if isinstance(chosen, str) else repr(chosen)
        return values


def seed_of(*parts: int) -> int:
    """A 32-bit number that depends on all parts."""
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest(), "little")


@contextmanager
def usable(storage: str | None) -> Iterator[None]:
    """Raises UserError where the work within cannot have this database."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of whichever database
        if not storage:
            raise
        raise UserError(f"sweep.storage={storage} cannot be used: {str(error).splitlines()[0]}") from error


def refuse_known(storage: str, name: str) -> None:
    """Raises UserError where the database holds such a study already."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with usable(storage):
        if name in optuna.get_all_study_names(storage):
            raise UserError(
                f"The study {name} is in {storage} already, maybe with points of others, and is not begun anew. Give "
                f"another sweep.name=, or remove it: optuna --storage {storage} delete-study --study-name {name}"
            )


def journal(path: Path):
    """Optuna's storage in a file that several machines may share."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def suggested(trial, axis: Axis) -> str | float | int:
    """What Optuna chooses of an axis."""
    if not axis.is_continuous:
        return trial.suggest_categorical(axis.key, axis.values)
    if axis.is_whole:
        return trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.is_log)
    return trial.suggest_float(axis.key, axis.low, axis.high, log=axis.is_log)


def made_sampler(name: str, seed: int):
    from optuna import samplers

    package = {"sobol": "scipy", "cmaes": "cmaes"}.get(name)
    if package and find_spec(package) is None:
        raise UserError(f"sweep={name} needs the package {package}: pip install {package}. Or take sweep=tpe.")
    kinds = {
        "tpe": lambda: samplers.TPESampler(seed=seed, constant_liar=True),
        "random": lambda: samplers.RandomSampler(seed=seed),
        "sobol": lambda: samplers.QMCSampler(
            qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False
        ),
        "cmaes": lambda: samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    }
    return kinds[name]()


@contextmanager
def quietly() -> Iterator[None]:
    """Without Optuna's warnings that something of it may change."""
    import warnings

    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield

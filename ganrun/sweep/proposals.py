"""Which point of a sweep comes next."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ganrun.errors import UserError
from ganrun.sweep.space import Axis, Space


class Proposals(Protocol):
    """Point number k is asked for once, in order; what it came to is told when its jobs are done.

    total: how many points there are to be.
    """

    total: int

    def point(self, k: int) -> dict[str, str]: ...

    def tell(self, k: int, score: float) -> None: ...


class Grid:
    """All combinations, in order."""

    def __init__(self, space: Space):
        self.points = space.grid()
        self.total = len(self.points)

    def point(self, k: int) -> dict[str, str]:
        return self.points[k]

    def tell(self, k: int, score: float) -> None:
        pass


class Search:
    """Points that Optuna proposes from what is known of the earlier ones.

    A proposal depends on the seed, its number and what was told before it, not on interruptions: each has a sampler of
    its own. The study lies in `folder`/study.journal, or in the database `storage`; a point that was asked for and not
    told (its job is under way, or failed) stays as it is and is not proposed again.
    name: of the study, in a database that others may use too.
    """

    def __init__(
        self,
        space: Space,
        sampler: str,
        total: int,
        direction: str,
        seed: int,
        folder: Path,
        storage=None,
        name="ganrun",
    ):
        if not space.axes:
            raise UserError(
                f"sweep={sampler} has nothing to search for. Give a setting as interval(a,b) or choice(a,b)."
            )
        with quietly():
            made_sampler(sampler, 0)  # refuses what is not installed
        self.space, self.sampler, self.total, self.seed = space, sampler, total, seed
        self.direction = {"min": "minimize", "max": "maximize"}[direction]
        self.storage, self.folder, self.name = storage, folder, name
        self.distributions = {axis.key: distribution(axis) for axis in space.axes}

    @cached_property
    def study(self):
        """The study, made or found when it is first needed. Raises UserError for a database that is not to be had."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = self.storage or journal(self.folder / "study.journal")
        try:
            return optuna.create_study(
                storage=storage, study_name=self.name, direction=self.direction, load_if_exists=True
            )
        except Exception as error:  # of whichever database
            if not self.storage:
                raise
            raise UserError(f"sweep.storage={self.storage} cannot be used: {str(error).splitlines()[0]}") from error

    def point(self, k: int) -> dict[str, str]:
        trials = self.study.get_trials(deepcopy=False)
        if k < len(trials):  # asked for by an earlier start, which was cut off before it could note that
            return self._words(trials[k].params)
        with quietly():
            self.study.sampler = made_sampler(self.sampler, seed_of(self.seed, k if self.sampler != "sobol" else 0))
            return self._words(self.study.ask(self.distributions).params)

    def tell(self, k: int, score: float) -> None:
        """A score that is no number says nothing of a point."""
        if score == score:
            with quietly():
                self.study.tell(k, score, skip_if_finished=True)

    def _words(self, params: Mapping[str, Any]) -> dict[str, str]:
        return {key: value if isinstance(value, str) else repr(value) for key, value in params.items()}


def seed_of(*parts: int) -> int:
    """A 32-bit number that depends on all parts."""
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest(), "little")


def journal(path: Path):
    """Optuna's storage in a file that several machines may share."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def distribution(axis: Axis):
    """Optuna's word for what an axis may be."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not axis.is_continuous:
        return CategoricalDistribution(axis.values)
    if axis.is_log and axis.low <= 0:
        raise UserError(f"{axis.key}: orders of magnitude begin above 0, not at {axis.low}.")
    if axis.is_whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.is_log)
    return FloatDistribution(axis.low, axis.high, log=axis.is_log)


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

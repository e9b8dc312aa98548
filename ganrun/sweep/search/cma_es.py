"""CMA-ES as an Optuna sampler whose state is plain numbers.

Optuna's own CmaEsSampler keeps a pickled optimizer in the study, and unpickling runs the code of whoever wrote it. This
one keeps the numbers of the trials that each generation was computed from, and computes the optimizer again from them.
It proposes the points that Optuna's sampler proposes, and continues studies of that one without reading its pickles.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ganrun.errors import Failure

# System attributes of a trial: the generation that it was sampled in, under Optuna's name, and what `Optimizer.history`
# says. Optuna's sampler keeps pickles under names with the prefix PICKLED.
GENERATION, HISTORY, PICKLED = "cma:generation", "cma:history", "cma:optimizer"


class CmaEs(BaseSampler):
    """Samples intervals jointly by CMA-ES, everything else at random. seed: of the trial that it samples for."""

    def __init__(self, seed: int):
        self.rng, self.random = np.random.RandomState(seed), RandomSampler(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        common = IntersectionSearchSpace().calculate(study)
        return {name: each for name, each in common.items() if is_interval(each)}

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return self.random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """Return a point of the newest generation. Raises Failure if the study holds no trials of such a search."""
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not search_space or not completed:
            return {}
        if not any(key.startswith((HISTORY, PICKLED)) for each in completed for key in each.system_attrs):
            self.rng.randint(1, 2**31 - 2)  # as Optuna does for a new optimizer, for the same points
        saved = next((each.system_attrs[HISTORY] for each in reversed(completed) if HISTORY in each.system_attrs), None)
        try:
            optimizer = Optimizer(search_space, completed, study.direction, saved)
        except (LookupError, TypeError, ValueError, ArithmeticError, AssertionError) as error:
            raise Failure(
                f"The study {study.study_name} is damaged: its state of CMA-ES is wrong ({error})."
            ) from error
        if optimizer.names != [*search_space]:
            return {}  # the space has changed, which CMA-ES cannot follow
        if optimizer.is_new:
            study._storage.set_trial_system_attr(trial._trial_id, HISTORY, optimizer.history)
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, optimizer.cma.generation)
        return optimizer.ask(self.rng.randint(1, 2**16) + trial.number)


class Optimizer:
    """CMA-ES after all generations that the completed trials make up.

    saved: the `history` of an earlier trial. is_new: whether there are generations after it.
    """

    def __init__(self, space: dict[str, Any], completed: Sequence[FrozenTrial], direction: StudyDirection, saved: Any):
        from cmaes import CMA

        saved = saved or {"names": [*space], "generations": []}
        self.names, self.generations = saved["names"], list(saved["generations"])
        self.is_new = False
        if self.names != [*space]:
            return
        if sum(map(len, self.generations)) > len(completed):
            raise ValueError("more trials in its generations than there are")
        dim, sign = len(space), 1 if direction == StudyDirection.MINIMIZE else -1
        self.transform = _SearchSpaceTransform(space, transform_0_1=True)  # to float64 [dim] in [0, 1]
        self.cma = CMA(np.full(dim, 0.5), 1 / 6, self.transform.bounds, n_max_resampling=10 * dim)
        solutions = {
            trial.number: (self.transform.transform(trial.params), sign * trial.value)
            for trial in completed
            if trial.value is not None
        }
        for numbers in self.generations:
            self._tell([solutions[number] for number in numbers])
        self._symmetrize()
        for numbers in self._new_generations(completed):
            self._tell([solutions[number] for number in numbers])
            self.generations.append(numbers)
            self.is_new = True

    @property
    def history(self) -> dict[str, Any]:
        """The names of the parameters, and for each generation the numbers of the trials it was computed from."""
        return {"names": self.names, "generations": self.generations}

    def ask(self, seed: int) -> dict[str, float]:
        self.cma.reseed_rng(seed)
        return self.transform.untransform(self.cma.ask())

    def _new_generations(self, completed: Sequence[FrozenTrial]) -> Iterator[list[int]]:
        while True:
            members = [t.number for t in completed if t.system_attrs.get(GENERATION) == self.cma.generation]
            if len(members) < self.cma.population_size:
                return
            yield members[: self.cma.population_size]

    def _tell(self, solutions: list[tuple[np.ndarray, float]]) -> None:
        self._symmetrize()
        self.cma.tell(solutions)

    def _symmetrize(self) -> None:
        """Make the covariance exactly symmetric, as Optuna's pickling does, for bit-equal points."""
        self.cma = copy.copy(self.cma)


def is_interval(distribution: BaseDistribution) -> bool:
    """Return whether this is an interval of numbers without steps, as sweeps have them."""
    is_number = isinstance(distribution, FloatDistribution | IntDistribution)
    return is_number and distribution.step in (None, 1) and not distribution.single()

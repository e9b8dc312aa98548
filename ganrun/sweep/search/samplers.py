"""Optuna's samplers, seeded such that a point depends only on its number and on the scores reported before it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ganrun.errors import UserError
from ganrun.seeds import hash_names
from ganrun.sweep.search.space import Axis


def sampler_for_trial(name: str, axes: Sequence[Axis], seed: int, number: int) -> Any:
    """Return the sampler of trial `number` of a study."""
    if name == "sobol":
        from optuna.samplers import PartialFixedSampler, RandomSampler

        return PartialFixedSampler(sobol_point(axes, seed, number), RandomSampler())
    seeds = {axis.key: hash_names(seed, number, index, size=4) for index, axis in enumerate(axes)}
    return combine_samplers({key: build_sampler(name, axis_seed) for key, axis_seed in seeds.items()})


def combine_samplers(samplers: Mapping[str, Any]) -> Any:
    """Return a sampler that uses each parameter's own sampler, or the first one for parameters sampled jointly."""
    from optuna.samplers import BaseSampler

    class CombinedSampler(BaseSampler):
        first = next(iter(samplers.values()))

        def infer_relative_search_space(self, study, trial):
            return self.first.infer_relative_search_space(study, trial)

        def sample_relative(self, study, trial, search_space):
            return self.first.sample_relative(study, trial, search_space)

        def sample_independent(self, study, trial, param_name, param_distribution):
            return samplers[param_name].sample_independent(study, trial, param_name, param_distribution)

    return CombinedSampler()


def suggest_value(trial: Any, axis: Axis) -> str | float | int:
    """Return the value that the study's sampler chooses for an axis."""
    if not axis.is_continuous:
        return trial.suggest_categorical(axis.key, axis.values)
    if axis.is_whole:
        return trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.is_log)
    return trial.suggest_float(axis.key, axis.low, axis.high, log=axis.is_log)


def sobol_point(axes: Sequence[Axis], seed: int, number: int) -> dict[str, Any]:
    """Return point `number` of the scrambled Sobol sequence; categories are sampled at random.

    Taken from a study in memory, because Optuna's sampler reads its dimensions from the first trial of a study and
    counts the trials, which may belong to other sweeps.
    """
    import optuna

    study = optuna.create_study(sampler=build_sampler("sobol", seed))
    values: dict[str, Any] = {}
    for _ in range(number + 2):
        trial = study.ask()
        values = {axis.key: suggest_value(trial, axis) for axis in axes}
        study.tell(trial, 0.0)
    return values


def build_sampler(name: str, seed: int) -> Any:
    """Return Optuna's sampler. Raises UserError if it needs a package that is not installed."""
    from optuna import samplers

    package = {"sobol": "scipy", "cmaes": "cmaes"}.get(name)
    if package and find_spec(package) is None:
        raise UserError(f"sweep={name} needs the package {package}: pip install {package}. Or use sweep=tpe.")
    if name == "sobol":
        return samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False)
    if name == "cmaes":
        from ganrun.sweep.search.cma_es import CmaEs

        return CmaEs(seed)
    return samplers.TPESampler(seed=seed, constant_liar=True) if name == "tpe" else samplers.RandomSampler(seed=seed)

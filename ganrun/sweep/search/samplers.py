"""Optuna's samplers, seeded so that a point depends on its number and on what was told, not on interruptions."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ganrun.errors import UserError
from ganrun.seeds import hash_names
from ganrun.sweep.search.space import Axis


def sampler_for_trial(name: str, axes: Sequence[Axis], seed: int, number: int) -> Any:
    """The sampler of trial `number` of a study."""
    if name == "sobol":
        from optuna.samplers import PartialFixedSampler, RandomSampler

        return PartialFixedSampler(sobol_point(axes, seed, number), RandomSampler())
    return combine_samplers(
        {axis.key: build_sampler(name, hash_names(seed, number, place, size=4)) for place, axis in enumerate(axes)}
    )


def combine_samplers(samplers: Mapping[str, Any]) -> Any:
    """A sampler that draws what it draws axis by axis with a sampler for each, and the rest with the first of them."""
    from optuna.samplers import BaseSampler

    class ByAxis(BaseSampler):
        first = next(iter(samplers.values()))

        def infer_relative_search_space(self, study, trial):
            return self.first.infer_relative_search_space(study, trial)

        def sample_relative(self, study, trial, search_space):
            return self.first.sample_relative(study, trial, search_space)

        def sample_independent(self, study, trial, param_name, param_distribution):
            return samplers[param_name].sample_independent(study, trial, param_name, param_distribution)

    return ByAxis()


def suggest_value(trial: Any, axis: Axis) -> str | float | int:
    """What the study's sampler chooses of an axis."""
    if not axis.is_continuous:
        return trial.suggest_categorical(axis.key, axis.values)
    if axis.is_whole:
        return trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.is_log)
    return trial.suggest_float(axis.key, axis.low, axis.high, log=axis.is_log)


def sobol_point(axes: Sequence[Axis], seed: int, number: int) -> dict[str, Any]:
    """Point `number` of the scrambled Sobol sequence, whoever has the earlier ones; words are drawn at random.

    Taken from a study in memory: Optuna's sampler takes its dimensions from a first trial, and counts in the study.
    """
    import optuna

    study = optuna.create_study(sampler=build_sampler("sobol", seed))
    for _ in range(number + 2):
        point = study.ask()
        found = {axis.key: suggest_value(point, axis) for axis in axes}
        study.tell(point, 0.0)
    return found


def build_sampler(name: str, seed: int):
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

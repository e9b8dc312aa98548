"""CMA-ES with plain numbers as its state: the points of Optuna's own sampler, and no pickle is read or written."""

import math
import os
import pickle

import optuna
import pytest

from ganrun.errors import Failure
from ganrun.sweep.search import samplers
from ganrun.sweep.search.conditions import Condition
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.study import StudySearch
from ganrun.sweep.state import SweepState

TRIALS = 40
AXES = {
    "one": [Axis("x", low=-1.0, high=3.0)],
    "two": [Axis("lr", low=1e-5, high=1e-2, is_log=True), Axis("beta1", low=0.0, high=0.999)],
    "integers": [
        Axis("k", low=1, high=9, is_whole=True),
        Axis("width", low=16, high=512, is_whole=True, is_log=True),
        Axis("model", ("gan", "wgan")),
        Axis("lr", low=1e-5, high=1e-2, is_log=True),
    ],
    "many": [Axis(f"x{i}", low=0.0, high=float(i + 1)) for i in range(7)],
}
TAKES_ONE_AXIS = tuple(map(int, optuna.__version__.split(".")[:2])) >= (4, 5)  # Optuna's own sampler, with CMA-ES
DEFINITION = {"fixed": [], "axes": [], "seeds": [0]}


@pytest.fixture
def optuna_sampler(monkeypatch):
    """Have sweeps use Optuna's own sampler, with its pickles."""

    def build(name, seed):
        return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)

    return lambda: monkeypatch.setattr(samplers, "build_sampler", build)


def cost(point):
    return sum(math.sin(3 * i + 1) * math.log(1 + abs(float(v))) for i, v in enumerate(point.values()) if v[-1] != "n")


def open_study(folder, axes):
    folder.mkdir(exist_ok=True)
    return StudySearch(SearchSpace(axes=axes), "cmaes", TRIALS, "min", 0, SweepState(folder, DEFINITION, id="a"))


def propose_all(search, stop=TRIALS, parallel=1, points=()):
    """Return the points, after those that are given; each is reported `parallel` points later, each third one later."""
    points = [*points]
    for k in range(len(points), stop):
        points.append(search.propose(range(k))[1])
        on_time, late = k - parallel + 1, k - 2 * parallel + 2
        for number in {n for n in (on_time, late) if (n >= 0 and (n % 3 == 0) == (n == late)) or parallel == 1}:
            search.report(number, cost(points[number]))
    return points


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_the_points_are_those_of_optunas_sampler(axes, parallel, tmp_path, optuna_sampler):
    if len(axes) == 1 and not TAKES_ONE_AXIS:
        pytest.skip("before Optuna 4.5, its sampler took the points of a single axis at random")
    ours = propose_all(open_study(tmp_path / "ours", axes), parallel=parallel)
    optuna_sampler()
    assert propose_all(open_study(tmp_path / "optuna", axes), parallel=parallel) == ours
    assert "636d61" in (tmp_path / "optuna" / "study.journal").read_text()  # "cma" in a pickle
    assert "636d61" not in (tmp_path / "ours" / "study.journal").read_text()


def test_a_space_that_shrinks_is_sampled_as_by_optunas_sampler(tmp_path, optuna_sampler, monkeypatch):
    axes = [Axis("k", low=1, high=4, is_whole=True), Axis("x", low=0.0, high=1.0)]
    late = Axis("c", low=0.0, high=1.0, condition=Condition.parse("k>1"))
    monkeypatch.setattr(SearchSpace, "varies", lambda self, axis, values: not axis.condition or values["k"] != "1")
    ours = propose_all(open_study(tmp_path / "ours", [*axes, late]))
    optuna_sampler()
    assert propose_all(open_study(tmp_path / "optuna", [*axes, late])) == ours
    assert {"c" in point for point in ours} == {True, False}


def test_a_study_that_optunas_sampler_began_goes_on_as_it_would(tmp_path, optuna_sampler, monkeypatch):
    optuna_sampler()
    whole = propose_all(open_study(tmp_path / "whole", AXES["two"]))
    begun = propose_all(open_study(tmp_path / "begun", AXES["two"]), 20)
    monkeypatch.undo()
    assert propose_all(open_study(tmp_path / "begun", AXES["two"]), points=begun) == whole


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def study_with_attribute(folder, name, value):
    """A study of 8 points whose last one has a system attribute that a stranger wrote."""
    search = open_study(folder, AXES["two"])
    for k in range(8):
        point = search.propose(range(k))[1]
        if k == 7:
            search.study._storage.set_trial_system_attr(search.study.trials[7]._trial_id, name, value)
        search.report(k, cost(point))


def test_a_pickle_in_the_study_is_not_loaded(tmp_path, optuna_sampler):
    study_with_attribute(tmp_path / "s", "cma:optimizer:0", pickle.dumps(Hostile(tmp_path / "loaded")).hex())
    open_study(tmp_path / "s", AXES["two"]).propose(range(8))
    assert not (tmp_path / "loaded").exists()
    optuna_sampler()
    open_study(tmp_path / "s", AXES["two"]).propose(range(9))
    assert (tmp_path / "loaded").exists()  # so the test can fail


@pytest.mark.parametrize(
    "history",
    [
        3,
        "x",
        {"names": ["beta1", "lr"]},
        {"names": ["beta1", "lr"], "generations": [[0, 1]]},
        {"names": ["beta1", "lr"], "generations": [[0, 1, 2, 3, 4, 99]]},
        {"names": ["beta1", "lr"], "generations": [["a"] * 6]},
        {"names": ["beta1", "lr"], "generations": [[0, 1, 2, 3, 4, 5]] * 100},
    ],
)
def test_a_damaged_state_ends_the_sweep_with_a_message(history, tmp_path):
    study_with_attribute(tmp_path / "s", "cma:history", history)
    with pytest.raises(Failure, match="The study ganrun is damaged: its state of CMA-ES is wrong"):
        open_study(tmp_path / "s", AXES["two"]).propose(range(8))

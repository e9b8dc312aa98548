"""Points that Optuna proposes: how many, which, and that they do not depend on interruptions."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median

import optuna
import pytest

from ganrun.errors import Failure, UserError
from ganrun.sweep.search import samplers
from ganrun.sweep.search.conditions import Condition
from ganrun.sweep.search.journal import JournalLock
from ganrun.sweep.search.space import Axis, SearchSpace
from ganrun.sweep.search.strategy import StudyUnreachable
from ganrun.sweep.search.study import StudySearch
from ganrun.sweep.state import SweepState

SPACE = SearchSpace(axes=[Axis("lr", low=1e-5, high=1e-2, is_log=True), Axis("beta1", low=0.0, high=0.999)])
SAMPLERS = ["tpe", "random", "sobol", "cmaes"]
TRIALS = 30
WHAT = {"fixed": [], "axes": [], "seeds": [0]}


def surface(values):
    """Best at lr 2e-4 and beta1 .5, with a ripple."""
    x, y = math.log10(float(values["lr"]) / 2e-4), float(values["beta1"]) - 0.5
    return x * x + 4 * y * y + 0.1 * math.sin(9 * x) ** 2


def study(folder, sampler="tpe", seed=0, stops=(TRIALS,), score=surface, space=SPACE):
    """Return all points of a study that was stopped after so many, each time after proposing the next point."""
    folder.mkdir(exist_ok=True)
    points = []
    for stop in stops:
        search = StudySearch(space, sampler, TRIALS, "min", seed, SweepState(folder, WHAT, id="a"))
        for k in range(len(points), stop):
            number, point = search.propose(range(k))
            assert number == k
            points.append(point)
            search.report(k, score(point))
        if stop < TRIALS:
            search.propose(range(stop))
    return points


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_interrupted_study_proposes_the_same_points_and_none_twice(sampler, tmp_path):
    whole = study(tmp_path / "whole", sampler)
    assert study(tmp_path / "cut", sampler, stops=(12, 13, TRIALS)) == whole
    assert len({str(point) for point in whole}) == TRIALS
    assert all(1e-5 <= float(p["lr"]) <= 1e-2 and 0 <= float(p["beta1"]) <= 0.999 for p in whole)


def test_another_seed_proposes_other_points(tmp_path):
    assert study(tmp_path / "a", "random", 0) != study(tmp_path / "b", "random", 1)


def test_proposals_depend_on_the_reported_scores(tmp_path):
    first = study(tmp_path / "a")
    other = study(tmp_path / "b", score=lambda values: -surface(values))
    assert first[:10] == other[:10]
    assert first[10:] != other[10:]


@pytest.mark.parametrize("score", [math.nan, None])
def test_a_point_without_a_score_keeps_its_values_and_may_be_scored_later(score, tmp_path):
    """The job of the point has failed, and may be retried."""
    tmp_path.joinpath("s").mkdir()
    search = StudySearch(SPACE, "tpe", TRIALS, "min", 0, SweepState(tmp_path / "s", WHAT, id="a"))
    points = [search.propose(range(k)) for k in range(3)]
    if score is not None:
        search.report(1, score)
    again = StudySearch(SPACE, "tpe", TRIALS, "min", 0, SweepState(tmp_path / "s", WHAT, id="a"))
    assert [again.propose(range(k)) for k in range(3)] == points
    again.report(1, 2.0)
    again.report(1, 3.0)
    assert again.study.trials[1].value == 2.0


def test_choices_and_integers_are_texts_for_hydra(tmp_path):
    space = SearchSpace(axes=[Axis("k", low=1, high=5, is_whole=True), Axis("model", ("gan", "'a,b'"))])
    points = study(tmp_path / "s", "random", space=space, score=lambda values: 0.0)
    assert {point["k"] for point in points} == set("12345")
    assert {point["model"] for point in points} == {"gan", "'a,b'"}


@pytest.mark.slow
def test_the_parzen_estimator_finds_no_worse_points_than_chance_over_twenty_studies(tmp_path):
    best = {
        sampler: [min(map(surface, study(tmp_path / f"{sampler}{seed}", sampler, seed))) for seed in range(20)]
        for sampler in ("tpe", "random")
    }
    wins = sum(tpe < chance for tpe, chance in zip(best["tpe"], best["random"], strict=True))
    print(f"tpe wins {wins} of 20; median best {median(best['tpe']):.4f} against {median(best['random']):.4f}")
    assert median(best["tpe"]) <= median(best["random"])


def test_an_empty_space_and_a_log_interval_from_0_are_refused(tmp_path):
    with pytest.raises(UserError, match="nothing to search"):
        StudySearch(SearchSpace(), "tpe", 3, "min", 0, SweepState(tmp_path, WHAT))
    with pytest.raises(UserError, match="must start above 0"):
        StudySearch(
            SearchSpace(axes=[Axis("lr", low=0, high=1, is_log=True)]), "tpe", 3, "min", 0, SweepState(tmp_path, WHAT)
        )


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path / 'studies.db'}"


def shared(database, place, **settings):
    place.mkdir(exist_ok=True)
    words = {"sampler": "random", "trials": 6, "definition": WHAT, **settings}
    state = SweepState(place, words["definition"], id=place.name, study="s")
    return StudySearch(SPACE, words["sampler"], words["trials"], "min", 0, state, database)


def test_two_folders_share_a_study_and_each_point_belongs_to_one_of_them(database, tmp_path):
    alone = study(tmp_path / "alone", "random")[:6]
    first, second = (shared(database, tmp_path / name) for name in "ab")
    own = {first: {}, second: {}}
    for search in (first, first, second, first, second, second):
        number, values = search.propose(own[search])
        own[search][number] = values
    assert first.propose(own[first]) is second.propose(own[second]) is None
    assert sorted([*own[first], *own[second]]) == [0, 1, 2, 3, 4, 5]
    assert [values for _, values in sorted([*own[first].items(), *own[second].items()])] == alone
    assert (first.total, second.total) == (3, 3)
    again = shared(database, tmp_path / "b")
    assert dict(again.propose([]) for _ in range(1)) == {2: own[second][2]}
    assert again.propose([2, 4])[0] == 5


def test_proposals_of_one_folder_depend_on_the_scores_of_the_other(database, tmp_path):
    first_database, second_database = (f"{database}{i}" for i in range(2))
    proposed = {}
    for place in (first_database, second_database):
        first, second = (shared(place, tmp_path / name, sampler="tpe", trials=13) for name in "ab")
        for k in range(12):
            number, values = first.propose(range(k))
            first.report(number, surface(values) * (1 if place == first_database else -1))
        proposed[place] = second.propose([])
    assert proposed[first_database][0] == proposed[second_database][0] == 12
    assert proposed[first_database][1] != proposed[second_database][1]


@pytest.mark.parametrize(
    ("other", "text"),
    [({"fixed": ["kimg=2"]}, "kimg=2 seed=0"), ({"settings": {"direction": "max"}}, "seed=0 sweep.direction=max")],
)
def test_a_study_of_another_sweep_is_refused(database, tmp_path, other, text):
    shared(database, tmp_path / "a").propose([])
    with pytest.raises(UserError, match=f"belongs to another sweep, seed=0; this one is {text}"):
        shared(database, tmp_path / "b", definition={**WHAT, **other}).propose([])


def test_a_study_that_others_use_is_not_deleted(database, tmp_path):
    first, second = (shared(database, tmp_path / name) for name in "ab")
    assert first.delete()  # nothing was asked for
    first.propose([])
    second.propose([])
    assert not first.delete()
    alone = shared(f"{database}1", tmp_path / "a")
    alone.propose([])
    assert alone.delete()
    assert shared(f"{database}1", tmp_path / "b").propose([])[0] == 0


def test_scores_are_never_reported_to_a_trial_of_another_sweep(database, tmp_path):
    first, second = (shared(database, tmp_path / name) for name in "ab")
    first.propose([])
    for number in (0, 1):
        with pytest.raises(Failure, match=f"Point {number} is not in the study"):
            second.report(number, 1.0)
    assert first.study.trials[0].value is None


def fails(**_):
    raise OSError("no way to it")


def test_a_deleted_study_ends_the_sweep(database, tmp_path):
    search = shared(database, tmp_path / "a")
    search.propose([])
    optuna.delete_study(study_name="s", storage=database)
    for work in (lambda: search.propose([0]), lambda: search.report(0, 1.0)):
        with pytest.raises(Failure, match=r"The study s was deleted from sqlite") as ended:
            work()
        assert not isinstance(ended.value, StudyUnreachable)


def test_a_database_may_be_unreachable_for_a_while_but_not_at_the_start(database, tmp_path, monkeypatch):
    search = shared(database, tmp_path / "a")
    search.propose([])
    with monkeypatch.context() as broken:
        broken.setattr(search.study, "get_trials", fails)
        for work in (lambda: search.propose([0]), lambda: search.report(0, 1.0)):
            with pytest.raises(StudyUnreachable, match="cannot be used: no way to it"):
                work()
        search.points_of_others = 2
        assert "2 of 6 points of the study s are trained by other sweeps" in search.describe_others()
        assert not search.delete()
    assert search.propose([0])[0] == 1
    with pytest.raises(UserError, match="cannot be used") as refused:
        shared("foo", tmp_path / "b").propose([])
    assert not isinstance(refused.value, StudyUnreachable)


@pytest.mark.parametrize("sampler", ["tpe", "random", "sobol"])
def test_a_point_whose_sampling_was_interrupted_gets_the_same_values(sampler, tmp_path, monkeypatch):
    whole = study(tmp_path / "whole", sampler)
    search = StudySearch(SPACE, sampler, TRIALS, "min", 0, SweepState(tmp_path, WHAT, id="a"))
    chosen = samplers.suggest_value

    def cut(trial, axis):
        if trial.number == 15 and axis.key == "beta1":
            raise KeyboardInterrupt
        return chosen(trial, axis)

    for k in range(15):
        search.report(k, surface(search.propose(range(k))[1]))
    with monkeypatch.context() as short:
        short.setattr(samplers, "suggest_value", cut)
        with pytest.raises(KeyboardInterrupt):
            search.propose(range(15))
    again = StudySearch(SPACE, sampler, TRIALS, "min", 0, SweepState(tmp_path, WHAT, id="a"))
    for k in range(15, TRIALS):
        assert again.propose(range(k)) == (k, whole[k])
        again.report(k, surface(whole[k]))


def test_a_sobol_sequence_fills_each_sixteenth_once(tmp_path):
    """The first 2^k points of a Sobol sequence are a net."""
    square = SearchSpace(axes=[Axis("x", low=0, high=1), Axis("y", low=0, high=1)])
    points = study(tmp_path / "s", "sobol", space=square, score=lambda values: 0.0)
    for key in "xy":
        assert sorted(int(16 * float(point[key])) for point in points[:16]) == [*range(16)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_setting_is_proposed_only_where_its_condition_holds(sampler, tmp_path):
    only = Condition.parse("k>1")
    axes = [Axis("k", low=1, high=4, is_whole=True), Axis("c", low=0.0, high=1.0, condition=only)]
    space = SearchSpace(axes=axes)
    space.varies = lambda axis, values: not axis.condition or axis.condition.holds(lambda key: int(values[key]))
    whole = study(tmp_path / "whole", sampler, space=space, score=lambda values: float(values.get("c", 0.5)))
    assert {("c" in values) == (values["k"] != "1") for values in whole} == {True}
    assert {"c" in values for values in whole} == {True, False}
    cut = study(tmp_path / "cut", sampler, 0, (12, TRIALS), lambda values: float(values.get("c", 0.5)), space)
    assert cut == whole


def test_a_process_killed_while_it_wrote_the_journal_does_not_stop_the_next_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("sweep")
    first = study(folder, stops=(3,))
    with (folder / "study.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "trial')  # an entry that was cut short
    (folder / "study.journal.lock").symlink_to("sweep/study.journal")  # the lock that Optuna itself would wait for
    assert study(folder)[:3] == first
    assert study(tmp_path / "whole") == study(folder)


def test_a_process_that_is_killed_gives_its_lock_of_the_journal_up(tmp_path):
    (tmp_path / "study.journal").touch()
    program = f"""
import os, signal
from pathlib import Path
from ganrun.sweep.search.journal import JournalLock
JournalLock(Path({str(tmp_path / "study.journal")!r})).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    lock = JournalLock(tmp_path / "study.journal")
    assert lock.acquire()
    lock.release()

"""The search space of a command's overrides."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ganrun.errors import UserError
from ganrun.files import conf_dir
from ganrun.sweep.search import conditions, space
from ganrun.sweep.search.conditions import Condition
from ganrun.sweep.search.space import Axis


@pytest.fixture
def read():
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield lambda *overrides, seeds=None, first=0, more=None: space.parse_space(
            overrides, loader, OmegaConf.create({"seeds": seeds, "space": more, "only": []}), first
        )


def test_lists_ranges_and_globs_become_axes_and_all_else_is_fixed(read):
    found = read(
        "model=gan,wgan", "data=ring", "model.d_steps=range(1,4)", "optimizer=glob(adam*)", "+x='a,b'", "kimg=2"
    )
    assert found.fixed == ["data=ring", "+x='a,b'", "kimg=2"]
    assert found.axes[:2] == [Axis("model", ("gan", "wgan")), Axis("model.d_steps", ("1", "2", "3"))]
    assert found.axes[2].key == "optimizer"
    assert "adam" in found.axes[2].values


def test_a_grid_is_every_combination_the_last_axis_fastest(read):
    found = read("a.b=1,2", "c=choice(x,y)", "seed=3,4").grid()
    assert found == [{"a.b": a, "c": c} for a in "12" for c in "xy"]


def test_values_keep_their_quotes(read):
    assert read("data.root='a=b,c','d e'").axes[0].values == ("'a=b,c'", "'d e'")


@pytest.mark.parametrize(
    ("word", "values", "message"),
    [
        ("lr=1e-4,0.0001,2e-4", ("0.0001", "0.0002"), "lr=0.0001 and lr=0.0001 are the same: trained once"),
        ("lr=choice(1,1.0,1)", ("1",), "lr=1 and lr=1.0 are the same: trained once"),
        ("x=[1,2],[1.0,2],{a: 1},{a: 1}", ("[1,2]", "{a:1}"), "x=[1,2] and x=[1.0,2] are the same: trained once"),
        (
            "x=1,true,'1',null,nan,nan,True",
            ("1", "True", "'1'", "null", "nan"),
            "x=nan and x=nan are the same: trained once",
        ),
    ],
)
def test_a_value_that_is_given_twice_is_one_value(read, caplog, word, values, message):
    with caplog.at_level("INFO", "ganrun"):
        assert read(word).axes[0].values == values
    assert message in caplog.messages


def test_a_seed_that_is_given_twice_is_one_seed(read):
    assert read("seed=1,2,1").seeds == [1, 2]


@pytest.mark.parametrize(
    ("word", "axis"),
    [
        ("lr=interval(0,1)", Axis("lr", low=0.0, high=1.0)),
        ("lr=tag(log,interval(1e-5,1e-2))", Axis("lr", low=1e-5, high=1e-2, is_log=True)),
        ("k=int(interval(1,5))", Axis("k", low=1, high=5, is_whole=True)),
    ],
)
def test_intervals_are_continuous(read, word, axis):
    found = read(word)
    assert found.axes == [axis]
    assert found.axes[0].is_continuous
    with pytest.raises(UserError, match=r"is an interval, which a grid cannot enumerate.*sweep=tpe"):
        found.grid()


@pytest.mark.parametrize(
    ("words", "seeds", "expected"),
    [
        (["seed=1,2,3"], None, [1, 2, 3]),
        (["seed=range(4,6)"], None, [4, 5]),
        ([], 3, [7, 8, 9]),
        (["seed=7"], 3, [7, 8, 9]),
        ([], None, [7]),
    ],
)
def test_seeds_are_listed_or_counted_and_never_an_axis(read, words, seeds, expected):
    found = read("model=gan,wgan", *words, seeds=seeds, first=7)
    assert found.seeds == expected
    assert [axis.key for axis in found.axes] == ["model"]
    assert found.fixed == []


@pytest.mark.parametrize(
    ("words", "seeds", "message"),
    [
        (["seed=1,2", "sweep.seeds=3"], 3, "lists 2 seeds, but sweep.seeds=3"),
        (["seed=interval(0,9)"], None, "seeds cannot be searched"),
        (["seed=a,b"], None, "seeds must be integers"),
    ],
)
def test_invalid_seeds_are_refused(read, words, seeds, message):
    with pytest.raises(UserError, match=message):
        read(*words, seeds=seeds)


def test_settings_of_the_sweep_are_not_passed_to_its_jobs(read):
    assert read("sweep=tpe", "sweep.trials=3", "kimg=2").fixed == ["kimg=2"]


def test_an_experiment_may_define_axes_that_the_command_line_overrides(read):
    more = {"optimizer.lr": "tag(log, interval(1e-5, 1e-2))", "model.d_steps": "choice(1, 5)"}
    found = read("model.d_steps=3", "seed=1,2", seeds=10, more=more)
    assert found.axes == [Axis("optimizer.lr", low=1e-5, high=1e-2, is_log=True)]
    assert found.fixed == ["model.d_steps=3"]
    assert found.seeds == [1, 2]


def test_shuffled_values_have_the_same_order_at_every_start(read):
    first, again = (read("a=shuffle(range(0,20))").axes[0].values for _ in range(2))
    assert first == again
    assert sorted(map(int, first)) == [*range(20)] != [*map(int, first)]


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("k>1", {"k": 2}, True),
        ("k>1", {"k": 1}, False),
        ("lr<=1e-3", {"lr": 1e-3}, True),
        ("model.d_steps >= 2 and model != 'a b'", {"model.d_steps": 2, "model": "gan"}, True),
        ("model.d_steps>=2 and model!='a b'", {"model.d_steps": 2, "model": "a b"}, False),
        ("data.flip==true", {"data.flip": True}, True),
        ("data.name==stand and kimg<3", {"data.name": "stand", "kimg": 2}, True),
        ("clip!=null", {"clip": None}, False),
    ],
)
def test_conditions_compare_settings_with_values(text, values, holds):
    assert Condition.parse(text).holds(values.get) is holds


def test_two_conditions_of_one_setting_must_both_hold():
    assert conditions.parse_conditions(["c if k>1", "c if k<3"])["c"].text == "k>1 and k<3"

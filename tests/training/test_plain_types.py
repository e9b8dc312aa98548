"""What a state may hold comes back from a checkpoint as it was, and the rest is refused by name."""

import functools
import random
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from ganrun.training.plain_types import NotPlainError, from_plain, plain_entries, to_plain

Point = namedtuple("Point", "x y")


class Color(Enum):
    RED = 1


class Rank(IntEnum):
    FIRST = 1


@dataclass
class Record:
    value: int


KEPT = {
    "a number": 3.5,
    "a large integer": 2**200,
    "a complex number": 1 + 2j,
    "bytes": b"\x00\xff",
    "a bytearray": bytearray(b"\x00\xff"),
    "a tuple": (1, [2, (3,)]),
    "an ordered dict": OrderedDict(b=1, a=2),
    "a counter": Counter("aab"),
    "a float32": np.float32(0.1),
    "a float64": np.float64(0.1),
    "an int64": np.int64(3),
    "a NumPy boolean": np.bool_(True),
    "a NumPy string": np.str_("é"),
    "a NumPy date": np.datetime64("2020-01-02"),
    "a path": Path("a/b"),
    "a set": {1, "a", (2, 3)},
    "a set of NumPy numbers": {np.int64(1)},
    "a frozen set": frozenset("ab"),
    "a deque": deque([1, 2], maxlen=2),
    "a deque of arrays' numbers": deque([np.float32(1)]),
    "a default dict": defaultdict(list, a=[1]),
    "a default dict of numbers": defaultdict(int, {3: 4}),
    "a dtype": torch.bfloat16,
    "a device": torch.device("cpu"),
    "a size": torch.Size([2, 3]),
    "random state": random.getstate(),
    "keys": {1: "a", None: "b", (1, "c"): 2.0, 0.5: 1, False: 0},
    "nothing": None,
    "empty ones": [{}, [], (), set(), deque(), ""],
}


@pytest.mark.parametrize("name", KEPT)
def test_a_value_comes_back_equal_and_of_its_type(tmp_path, name):
    torch.save(to_plain(KEPT[name]), tmp_path / "a")
    back = from_plain(torch.load(tmp_path / "a", weights_only=True))
    assert back == KEPT[name]
    assert type(back) is type(KEPT[name])
    assert getattr(back, "maxlen", None) == getattr(KEPT[name], "maxlen", None)
    assert getattr(back, "default_factory", None) == getattr(KEPT[name], "default_factory", None)


ARRAYS = [
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.array([], np.float32),
    np.array(3.0),
    np.array([[1 + 1j]], np.complex64),
    np.array(["a", "bcd"]),
    np.arange(6.0).reshape(2, 3).T,
    np.array([1, 2], ">i4"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_an_array_comes_back_and_can_be_changed(tmp_path, array):
    torch.save(to_plain({"a": array}), tmp_path / "a")
    back = from_plain(torch.load(tmp_path / "a", weights_only=True))["a"]
    np.testing.assert_array_equal(back, array, strict=True)
    back[...] = back


def test_configs_become_lists_and_dicts_and_numpy_keys_numbers():
    config = OmegaConf.create({"a": 1, "betas": ["${a}", 0.5], "deep": {"b": None}})
    assert to_plain(config) == {"a": 1, "betas": [1, 0.5], "deep": {"b": None}}
    assert type(to_plain(config.betas)) is list
    ((key, _),) = to_plain({np.int64(3): "a"}).items()
    assert type(key) is int
    assert type(to_plain(torch.__version__)) is str
    assert type(to_plain(torch.nn.Parameter(torch.ones(2)))) is torch.Tensor


def test_nothing_of_the_copy_changes_with_the_original():
    state = {"list": [1], "set": {1}, "array": np.zeros(1), "tensor": torch.zeros(1), "deque": deque([1])}
    copy = to_plain(state)
    state["list"].append(2)
    state["set"].add(2)
    state["array"][0] = state["tensor"][0] = 9
    state["deque"].append(2)
    assert from_plain(copy) == {
        "list": [1],
        "set": {1},
        "array": np.zeros(1),
        "tensor": torch.zeros(1),
        "deque": deque([1]),
    }


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Color.RED, "test_plain_types.Color"),
        (Rank.FIRST, "test_plain_types.Rank"),
        (Record(3), "test_plain_types.Record"),
        (Point(1, 2), "test_plain_types.Point"),
        (functools.partial(print), "functools.partial"),
        (print, "builtins.builtin_function_or_method"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (torch.Generator(), "torch._C.Generator"),
        (np.random.default_rng(), "numpy.random._generator.Generator"),
        (np.array([object()]), "an array of object"),
        (np.ma.masked_array([1], [True]), "an array of int64"),
        (defaultdict(lambda: 3), "a defaultdict of <lambda>"),
        ({Color.RED: 1}, "Color"),
        ({Path("a"): 1}, "PosixPath"),
        (float, "builtins.type"),
    ],
)
def test_what_cannot_be_held_is_named_with_the_keys_that_lead_to_it(value, kind):
    with pytest.raises(NotPlainError, match=r"callbacks\.Mine\.window\[1\]") as result:
        to_plain({"callbacks": {"Mine": {"window": [0, value]}}})
    assert kind in str(result.value)


def test_only_the_plain_arguments_of_a_model_are_kept():
    assert plain_entries({"width": 3, "network": torch.nn.Linear(1, 1), "betas": OmegaConf.create([1])}) == {
        "width": 3,
        "betas": [1],
    }


@pytest.mark.parametrize(
    "content", [["O", [1], torch.zeros(8, dtype=torch.uint8)], ["<f4", [3], torch.zeros(4)], [], 3, ["<f4", "a", "b"]]
)
def test_a_forged_array_is_an_error_of_the_file(content):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        from_plain({"ganrun:array": content})

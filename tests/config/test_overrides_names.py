"""Names of files and folders in overrides: Hydra reads them as they are written."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ganrun.config.overrides import NAMES, take_names_literally

HARD = [
    "2024",
    "007",
    "1e5",
    "true",
    "nan",
    "3.10",
    "-inf",
    "0x1f",
    "1_000",
    "1:30",
    ".5",
    "None",
    "no",
    "a b",
    " a ",
    "#",
]
HARD += [
    "it's",
    'a"b',
    "'",
    "x=y",
    "{a}",
    "(b)",
    "a#b",
    "äü火",
    "$HOME",
    "a&b",
    "[/red]x",
    "choice(a)",
    "@",
    "%",
    "a;b",
]


def parse(arg):
    return OverridesParser.create().parse_override(arg)


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("name", HARD)
def test_a_name_is_read_as_it_is_written(name, key):
    assert parse(take_names_literally(f"{key}={name}", False)).value() == name


@pytest.mark.parametrize("name", HARD)
def test_a_quoted_name_stays_quoted(name):
    once = take_names_literally(f"folder={name}", False)
    assert take_names_literally(once, False) == once


@pytest.mark.parametrize("name", ["[x]", "null", "NULL"])
def test_names_that_are_lists_or_null_elsewhere_are_names_where_neither_is_allowed(name):
    assert parse(take_names_literally(f"input={name}", False)).value() == name


def test_null_and_lists_stay_what_they_are_where_they_are_allowed():
    assert parse(take_names_literally("data.root=null", False)).value() is None
    assert parse(take_names_literally("data.root=[2023,'a,b',c d]", False)).value() == ["2023", "a,b", "c d"]
    assert parse(take_names_literally("folder='null'", False)).value() == "null"


def test_a_sweep_takes_each_of_its_names_literally():
    swept = parse(take_names_literally("data.root=2023,1e5,'a,b',it s", True))
    assert [parse(f"data.root={value}").value() for value in swept.sweep_string_iterator()] == [
        "2023",
        "1e5",
        "a,b",
        "it s",
    ]


def test_a_name_with_a_comma_is_one_name_if_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    assert parse(take_names_literally("data.root=a,b", False)).value() == "a,b"


@pytest.mark.parametrize(
    "arg", ["folder=${model}/x", "data.root=glob(*)", r"folder=a\,b", "~folder", "kimg=1e5", "folder"]
)
def test_notations_of_hydra_and_other_settings_stay(arg):
    assert take_names_literally(arg, True) == arg


def test_the_home_folder_is_expanded_in_each_name(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    swept = parse(take_names_literally("data.root=~/a,~/b c", True))
    assert [parse(f"x={value}").value() for value in swept.sweep_string_iterator()] == [
        f"{tmp_path}/a",
        f"{tmp_path}/b c",
    ]

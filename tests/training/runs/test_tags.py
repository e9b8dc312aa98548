"""Tags of a run."""

import json

import pytest
from helpers.run_folders import make_run

from ganrun.cli.main import main
from ganrun.training.runs.tags import TAGS, read_tags


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "run")


def tag(*args):
    return main(["runs", "tag", "run", *args])


def test_tags_are_added_removed_and_shown(run, capsys):
    assert [tag("b", "a"), tag("b", "c", "remove=a"), tag()] == [0, 0, 0]
    assert capsys.readouterr().out.splitlines() == ["run: a, b", "run: b, c", "run: b, c"]
    assert json.loads((run / TAGS).read_text()) == ["b", "c"]
    assert tag("remove=b,c") == 0
    assert capsys.readouterr().out == "run: no tags\n"


@pytest.mark.parametrize("name", ["", "a b", "-x", "a,b", "a/b", "x" * 41, "\x1b[31m", "a\n", ".hidden", "[red]"])
def test_a_name_that_cannot_be_a_tag_is_refused_and_nothing_changes(run, name, capsys):
    assert main(["runs", "tag", "run", "good", name]) == 2
    err = capsys.readouterr().err
    assert err.count("ganrun: ") == 1
    assert "\x1b" not in err
    assert not (run / TAGS).exists()


@pytest.mark.parametrize("name", ["baseline", "v1.2", "lr:2e-4", "ünïcode", "数据", "a@b", "x+y", "x" * 40])
def test_these_are_tags(run, name):
    assert tag(name) == 0
    assert read_tags(run) == [name]


def test_a_tag_that_the_run_does_not_have_cannot_be_removed(run, capsys):
    assert tag("a", "b") == 0
    assert tag("remove=c") == 2
    assert 'run has no tag "c". It has a, b.' in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1]", '["a b"]', "[" * 9999, '["\\u001b[31m"]'])
def test_a_damaged_file_of_tags_counts_as_none_and_is_replaced(run, content):
    (run / TAGS).write_text(content)
    assert read_tags(run) == []
    assert tag("a") == 0
    assert read_tags(run) == ["a"]


def test_tags_are_not_written_through_a_link(run, tmp_path):
    (tmp_path / "mine").write_text("precious")
    (run / TAGS).symlink_to(tmp_path / "mine")
    assert tag("a") == 0
    assert (tmp_path / "mine").read_text() == "precious"

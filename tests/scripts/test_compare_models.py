"""The comparison of models keeps what it has measured, and does not repeat it."""

import json

import pytest
from helpers.benches import load_script
from hydra import compose, initialize_config_dir

from ganrun.files import conf_dir

SETTINGS = ["model=gan", "data=ring", "batch_size=20", "kimg=0.1", "metrics.samples=100"]


@pytest.fixture
def script(monkeypatch, tmp_path):
    with load_script("compare_models", monkeypatch) as module:
        rows = {"one": [*SETTINGS], "two": [*SETTINGS, "model.z_dim=3"]}
        monkeypatch.setattr(module, "TABLES", {"tiny": module.Table(["val/modes", "val/high_quality"], rows)})
        monkeypatch.setattr(module, "RESULTS", tmp_path / "models.json")
        monkeypatch.chdir(tmp_path)
        yield module


def compare(script, monkeypatch, *args):
    monkeypatch.setattr("sys.argv", ["compare_models.py", "tiny", "out", *args])
    script.main()
    return {row["row"]: row for row in json.loads(script.RESULTS.read_text())}


@pytest.mark.slow
def test_runs_are_trained_once_and_their_scores_written(script, monkeypatch, capsys):
    rows = compare(script, monkeypatch, "--seeds", "1-2", "--models", "one")
    assert (rows["one"]["settings"], [*rows["one"]["runs"]]) == (SETTINGS, ["1", "2"])
    status = json.loads((script.Path("out") / "tiny-one-2" / "status.json").read_text())
    assert rows["one"]["runs"]["2"]["last"]["val/modes"] == status["last"]["val/modes"]
    assert "one          2 seeds  val/modes " in capsys.readouterr().out
    monkeypatch.setattr("trainings.subprocess.run", lambda *_, **__: pytest.fail("it trains again"))
    assert compare(script, monkeypatch, "--seeds", "1-2", "--models", "one") == rows


def test_other_rows_and_other_seeds_stay_unless_the_settings_changed(script):
    def row(name, seeds, settings):
        runs = {str(seed): {"kimg": 1, "last": {"val/modes": seed}, "best": {}} for seed in seeds}
        return {"table": "tiny", "row": name, "settings": settings, "runs": runs}

    def write(*rows):
        script.write([*rows])
        return {found["row"]: [*found["runs"]] for found in json.loads(script.RESULTS.read_text())}

    assert write(row("two", [2], ["b"])) == {"two": ["2"]}
    assert write(row("one", [1, 2], ["a"])) == {"one": ["1", "2"], "two": ["2"]}
    assert write(row("one", [3], ["a"]), row("two", [], ["b"])) == {"one": ["1", "2", "3"], "two": ["2"]}
    assert write(row("one", [10], ["a"])) == {"one": ["1", "2", "3", "10"], "two": ["2"]}
    assert write(row("one", [], ["changed"])) == {"one": ["1", "2", "3", "10"], "two": ["2"]}
    assert write(row("one", [1], ["changed"])) == {"one": ["1"], "two": ["2"]}


@pytest.mark.slow
def test_runs_of_other_settings_do_not_pass_for_those_of_a_row(script, monkeypatch):
    compare(script, monkeypatch, "--seeds", "1", "--models", "one")
    script.TABLES["tiny"].rows["one"][:] = [*SETTINGS, "model.z_dim=7"]
    with pytest.raises(SystemExit, match="tiny-one-1 is a run of other settings"):
        compare(script, monkeypatch, "--seeds", "1", "--models", "one")


def test_a_row_that_is_not_there_is_refused_before_any_training(script, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        compare(script, monkeypatch, "--models", "one,three")
    assert "no rows three; there are one, two" in capsys.readouterr().err


def test_every_row_of_a_table_can_be_composed(monkeypatch):
    with load_script("compare_models", monkeypatch) as script:
        rows = {(name, row): settings for name, table in script.TABLES.items() for row, settings in table.rows.items()}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for (table, row), settings in rows.items():
            config = compose("train", settings)
            assert config.kimg, (table, row)
            assert config.data.name == ("digits" if table in ("few_digits", "codes", "read_codes") else table), row

"""The JSON that ganrun writes is JSON: null instead of NaN and Inf, which it reads again as NaN."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import ganrun
from ganrun.config.json_forms import nan_for_null
from ganrun.files import to_json
from ganrun.sweep.report.results import load_result
from ganrun.training.metric_lines import read_metric_lines
from ganrun.training.run_folder import read_status

OWN_SCORES = """
import math
from ganrun.metrics.scores import Score
lost = Score("lost", better="lower", note="NaN", needs=("features",), compute=lambda inputs: math.nan)
endless = Score("endless", better="lower", note="Inf", needs=("features",), compute=lambda inputs: math.inf)
"""
DIGITS = ["model=gan", "data=digits", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]"]
SCORES = "metrics.scores=[fd,{_target_:numbers_of_mine.lost},{_target_:numbers_of_mine.endless}]"
QUICK = ["batch_size=4", "kimg=0.032", "validate_kimg=0.016", "metrics.samples=20", "metrics.reference=200"]


def parse(text):
    """Parse JSON as other programs do, which know no NaN."""

    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def run(cli):
    """A run with a score that is always NaN and one that is always infinite."""
    (cli.folder / "numbers_of_mine.py").write_text(OWN_SCORES)
    assert cli.run("train", *DIGITS, *QUICK, "logger=none", SCORES, "folder=run") == 0
    return cli.folder / "run"


def test_a_run_with_scores_of_nan_and_inf_writes_null_and_reads_nan(run):
    lines = [parse(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    scored = [line for line in lines if "protocol" in line]
    assert scored
    assert all(line["val/lost_lenet"] is line["val/endless_lenet"] is None for line in scored)
    assert parse((run / "status.json").read_text())["last"]["val/lost_lenet"] is None
    parse((run / "checkpoints/manifest.json").read_text())
    (again, *_) = [line for line in read_metric_lines(run / "metrics.jsonl") if "protocol" in line]
    assert math.isnan(again["val/lost_lenet"])
    assert math.isnan(read_status(run)["last"]["val/endless_lenet"])
    assert math.isnan(ganrun.runs(run.parent)[0].best["val/lost_lenet"])
    assert math.isnan(load_result(run, "val/lost_lenet").score)
    assert math.isfinite(load_result(run).score)


def test_a_resumed_run_and_an_evaluation_write_json_too(run, cli, capsys):
    assert cli.run("resume", "run", "kimg=0.064", "trust=true") == 0
    for text in (run / "metrics.jsonl").read_text().splitlines():
        parse(text)
    assert cli.run("eval", "run", "copies=0", "trust=true") == 0
    (path,) = Path("outputs/eval").glob("*/scores.json")
    assert parse(path.read_text())["scores"]["val/lost_lenet"] is None
    assert "nan" in capsys.readouterr().out


def test_files_that_hold_nan_as_older_versions_wrote_it_are_read(run):
    for name in ("status.json", "metrics.jsonl"):
        path = run / name
        path.write_text(path.read_text().replace("null", "NaN"))
    assert math.isnan(read_status(run)["last"]["val/lost_lenet"])
    assert math.isnan(load_result(run, "val/lost_lenet").history[0][1])


def test_a_training_whose_monitored_score_is_nan_ends_as_diverged_without_a_best(cli):
    (cli.folder / "numbers_of_mine.py").write_text(OWN_SCORES)
    assert cli.run("train", *DIGITS, *QUICK, "logger=none", SCORES, "metrics.monitor=val/lost_lenet", "folder=run") == 0
    content = parse(Path("run/status.json").read_text())
    assert (content["best"], content["diagnosis"]["state"]) == ({}, "diverged")
    assert cli.run("resume", "run", "kimg=0.064", "trust=true") == 0
    assert parse(Path("run/status.json").read_text())["best"] == {}


@pytest.mark.slow
def test_a_search_with_a_score_of_nan_writes_json(cli):
    (cli.folder / "numbers_of_mine.py").write_text(OWN_SCORES)
    args = [*DIGITS, *QUICK, "logger=none", SCORES, "sweep=random", "sweep.trials=2", "sweep.metric=val/lost_lenet"]
    assert cli.run("train", "-m", *args, "optimizer.lr=interval(1e-4,1e-3)", "sweep.name=s", "sweep.direction=min") == 0
    parse(Path("outputs/sweeps/s/sweep.json").read_text())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"a": math.nan, "b": [math.inf, -math.inf, 1.5]}, '{"a": null, "b": [null, null, 1.5]}'),
        ({"a": {"b": np.float32(np.nan)}, "c": True}, '{"a": {"b": null}, "c": true}'),
        ({"x": "NaN"}, '{"x": "NaN"}'),
    ],
)
def test_nan_and_inf_become_null_at_any_depth(content, text):
    assert to_json(content, default=float) == text


def test_null_becomes_nan_and_all_else_stays():
    result = nan_for_null({"a": None, "b": 1, "c": "x"})
    assert math.isnan(result.pop("a"))
    assert result == {"b": 1, "c": "x"}

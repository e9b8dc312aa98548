"""What a run folder tells of its result, also when a file of it is missing."""

import json
import math

import pytest

from ganrun.sweep.job_state import JobState
from ganrun.sweep.report.results import load_result


@pytest.fixture
def run(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 3\nmetrics: {monitor: val/fid, mode: min}\n")
    (tmp_path / "status.json").write_text(json.dumps({"state": "done", "kimg": 2.0}))
    lines = [{"kimg": kimg, "val/fid": score, "protocol": {}} for kimg, score in ((1.0, 9.0), (2.0, 5.0))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_run_without_its_status_keeps_its_score_but_has_no_state(run):
    assert load_result(run).state == JobState.DONE
    (run / "status.json").unlink()
    assert (load_result(run).state, load_result(run).score, load_result(run).seed) == (JobState.UNKNOWN, 5.0, 3)


@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
def test_without_config_or_scores_there_is_no_score(run, name):
    (run / name).unlink()
    assert math.isnan(load_result(run).score)

"""What a run folder tells of scores and diagnosis when the run ends."""

import json
import math
import time
from contextlib import suppress

import pytest
from omegaconf import OmegaConf

from ganrun.training.run_record import READINGS, RunRecord

NAME = "val/fid"
FALLING = [50, 40, 30, 25, 20, 15, 12, 10]


@pytest.fixture
def record(tmp_path):
    def make(values=(), kimg=800, minutes=None, monitor=NAME, images=800_000):
        cfg = {"kimg": kimg, "minutes": minutes, "metrics": {"monitor": monitor, "mode": "min"}}
        record = RunRecord(tmp_path, OmegaConf.create(cfg), {}, "32-true")
        for k, value in enumerate(values):
            record.add_scores(100_000 * (k + 1), {NAME: value}, {})
        record.images = images
        return record

    return make


def closing(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


def test_the_history_is_that_of_the_monitored_score(record):
    assert record([3, math.nan, 2]).history == [(100, 3), (200, pytest.approx(math.nan, nan_ok=True)), (300, 2)]


def test_scores_of_another_protocol_are_compared_only_with_those_that_follow(record, tmp_path, caplog):
    old, new = ({"resize": words, "floor": 1.0} for words in ("as pytorch-fid", "x / 127.5 - 1, as pytorch-fid"))
    run = record()
    for kimg, value, protocol in ((100, 3, old), (200, 2, {**old, "floor": 9.0}), (300, 7, new), (400, 8, new)):
        run.add_scores(1000 * kimg, {NAME: value}, protocol)
    assert (run.history, run.best["kimg"]) == ([(300, 7), (400, 8)], 300)
    assert caplog.text.count("is measured in another way; the best checkpoint is chosen anew") == 1
    again = record()
    again.restore(400_000)
    assert (again.history, again.best["kimg"]) == (run.history, 300)


@pytest.mark.parametrize("state", ["done", "failed", "interrupted"])
def test_at_the_end_both_files_tell_last_best_and_diagnosis(record, tmp_path, state):
    record([50, 40, 30, 20]).write_status(state)
    status, line = json.loads((tmp_path / "status.json").read_text()), closing(tmp_path)
    assert status["state"] == state
    assert line == {"time": line["time"], "kimg": 800, **{key: status[key] for key in ("last", "best", "diagnosis")}}
    summary = "improving: val/fid fell from 50 to 20 over the last 300 kimg"
    assert status["diagnosis"] == {"state": "improving", "summary": summary, "remark": ""}


def test_a_running_or_unscored_training_has_no_diagnosis(record, tmp_path):
    record(FALLING).write_status("running")
    assert "diagnosis" not in json.loads((tmp_path / "status.json").read_text())
    record(monitor=None).write_status("done")
    assert "diagnosis" not in json.loads((tmp_path / "status.json").read_text())


@pytest.mark.parametrize(
    ("limits", "images", "setting"),
    [
        ({"kimg": 1000}, 1_000_000, " kimg=2000"),
        ({"kimg": 1000}, 1_000_032, " kimg=2000"),
        ({"kimg": 0.1}, 128, " kimg=0.2"),
        ({"kimg": 1000, "minutes": 1.5}, 300_000, " minutes=3"),
        ({"kimg": 1000, "minutes": 9}, 1_000_000, " kimg=2000"),
        ({"kimg": 1000}, 300_000, ""),  # interrupted
    ],
)
def test_a_longer_training_is_one_by_the_limit_that_ended_this_one(record, tmp_path, limits, images, setting):
    assert record(FALLING, **limits, images=images).diagnosis().command == f"ganrun resume {tmp_path}{setting}"


def test_the_diagnosis_is_that_of_the_newest_samples_and_readings(record):
    run = record([5, 5, 5, 5])
    run.add_curves(400_000, {"train/discriminator/accuracy": 0.99})
    run.add_scores(500_000, {NAME: 5}, {}, collapsed="1 of 8 modes")
    assert run.diagnosis().summary == "collapsed: 1 of 8 modes"
    assert run.diagnosis().remark == "the discriminator tells real from fake in 99 % of pairs"
    run.add_scores(600_000, {NAME: 5}, {})
    assert run.diagnosis().state == "converged"


def test_a_model_without_an_opponent_may_be_done_after_few_batches(record):
    run = record([5, 5, 5, 5], images=30)
    assert run.diagnosis().summary.startswith("unclear: 30 batches are too little training")
    run.has_opponents = False
    assert run.diagnosis().state == "converged"


@pytest.mark.slow
def parse_and_copy(path, target, kimg):
    """Write the lines of a metrics.jsonl up to this kimg to another file, by a plain loop; return its CPU seconds."""
    start = time.process_time()
    with path.open() as file, target.open("w") as kept:
        for line in file:
            with suppress(ValueError):
                kept.write(line if json.loads(line)["kimg"] <= kimg else "")
    return time.process_time() - start


@pytest.mark.slow
def test_a_resume_reads_a_million_readings_about_as_fast_as_a_plain_loop(record, tmp_path):
    run = record([3, 2])
    reading = '{{"time": 1.5, "kimg": {}, "train/generator/loss": 0.25, "train/discriminator/accuracy": 0.5}}\n'
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.writelines(reading.format(200 + i / 1e4) for i in range(1_000_000))
        file.write('{"time": 9, "kimg": 301')  # of a crash
    plain = parse_and_copy(tmp_path / "metrics.jsonl", tmp_path / "copy", 290)
    start, again = time.process_time(), record()
    again.restore(290_000)
    assert time.process_time() - start < 2 * plain
    assert (again.history, again.best) == (run.history, run.best)
    assert again.readings[-1] == {"train/generator/loss": 0.25, "train/discriminator/accuracy": 0.5}
    assert len(again.readings) == READINGS
    assert closing(tmp_path)["kimg"] == 290
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2 + 900_001

"""The table of logger=csv over interruptions."""

import csv
import os

import pytest
from pytorch_lightning.loggers import CSVLogger

from ganrun.training import csv_history
from ganrun.training.csv_history import keep_csv_history


@pytest.fixture
def logger(tmp_path):
    def logger(images=0):
        logger = CSVLogger(tmp_path, name="", version="")
        if images:
            keep_csv_history(logger, images)
        return logger

    return logger


def log(logger, *rows):
    for step, values in rows:
        logger.log_metrics(values, step=step)
    logger.save()


def table(tmp_path):
    with (tmp_path / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_earlier_rows_stay_and_later_ones_go(logger, tmp_path):
    log(logger(), (10, {"loss": 1.5}), (20, {"loss": 2.5, "fid": 3.0}), (30, {"loss": 9.0}))
    log(logger(20), (30, {"loss": 3.5}), (40, {"new": 1.0}))
    assert table(tmp_path) == [
        {"step": "10", "loss": "1.5"},
        {"step": "20", "loss": "2.5", "fid": "3.0"},
        {"step": "30", "loss": "3.5"},
        {"step": "40", "new": "1.0"},
    ]


def test_nothing_is_lost_if_a_kill_comes_between_deletion_and_return(logger, tmp_path, monkeypatch):
    log(logger(), (10, {"loss": 1.5}), (20, {"loss": 2.5}))

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            logger(20)
    assert not (tmp_path / "metrics.csv").exists()
    log(logger(20), (30, {"loss": 3.5}))
    assert [row["step"] for row in table(tmp_path)] == ["10", "20", "30"]
    assert {path.name for path in tmp_path.iterdir()} - {"hparams.yaml"} == {"metrics.csv"}


@pytest.mark.parametrize("content", [b"", b"\xff\x00\n\n1,2,3,4\n", b"loss,step\n1,\n2,x\n3,5\n4,50\n"])
def test_a_damaged_table_is_continued_with_what_can_be_read(logger, tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    log(logger(20), (30, {"loss": 3.5}))
    assert table(tmp_path)[-1] == {"loss": "3.5", "step": "30"}
    if b"loss" in content:
        assert [row["loss"] for row in table(tmp_path)] == ["1", "2", "3", "3.5"]


def test_a_row_counts_by_its_step():
    assert [csv_history.is_until({"step": step}, 20) for step in ("20", "21", "", "x")] == [True, False, True, True]

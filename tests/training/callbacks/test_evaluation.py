"""When a run says that its scoring takes long, in a world where the clock goes by as it is told."""

import json
import logging
import re
from types import SimpleNamespace

import pytest
from helpers.run_context import bound
from omegaconf import OmegaConf

from ganrun.metrics.scores.declarations import comparable_protocol
from ganrun.sweep.pruning import Pruning
from ganrun.training.callbacks.evaluation import Evaluation
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.callbacks.signals import Signals
from ganrun.training.run_record import RunRecord

KIMG = 1000


class World:
    """A training of a second per kimg whose suite takes `cost` seconds per sample."""

    def __init__(self, folder, monkeypatch, cost, samples=5000, every=None, features=84, rank=0, max_share=0.25):
        self.now, self.cost = 0.0, cost
        monkeypatch.setattr("ganrun.training.run_record.time", SimpleNamespace(monotonic=lambda: self.now))
        extractor = SimpleNamespace(num_features=features)
        self.suite = SimpleNamespace(
            samples=samples,
            score=self.score,
            protocol=lambda data: {},
            collapsed=lambda scores: None,
            extractor=extractor,
        )
        cfg = {"kimg": KIMG, "minutes": None, "metrics": {"monitor": "val/fid", "mode": "min"}}
        record = RunRecord(folder, OmegaConf.create(cfg), {}, "32-true", is_main_process=not rank)
        record.diagnosis = lambda: SimpleNamespace(state="improving")
        self.record = record
        guard = SimpleNamespace(check=lambda *_: None)
        self.evaluation = bound(
            Evaluation(every, max_share),
            {NanGuard: guard, Signals: Signals()},
            record=record,
            experiment=SimpleNamespace(suite=self.suite, data=None),
        )
        self.trainer = SimpleNamespace(world_size=1, precision="32-true", is_global_zero=not rank, loggers=[])
        self.model = SimpleNamespace(images_seen=0, batches_seen=0, progress=0.0, averaged={})

    def score(self, model, data, is_final):
        self.now += self.cost * self.suite.samples * (10 if is_final else 1)
        return {"val/fid": 1.0}

    def train(self, kimg=KIMG):
        self.evaluation.on_train_start(self.trainer, self.model)
        for k in range(1, kimg + 1):
            self.now += 1
            self.model.images_seen, self.model.progress = 1000 * k, k / KIMG
            self.evaluation.on_train_batch_end(self.trainer, self.model, None, None, k)
        self.evaluation.on_train_end(self.trainer, self.model)


@pytest.fixture
def world(tmp_path, monkeypatch):
    return lambda **settings: World(tmp_path, monkeypatch, **settings)


def test_a_run_whose_scoring_takes_a_third_says_so_once_with_the_settings_that_mend_it(world, caplog):
    world(cost=0.0066).train()
    (said,) = caplog.messages
    assert said == (
        "Scoring took 33 % of the training time. metrics.samples=1500 or validate_kimg=330 would reduce it to 10 %."
    )
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("setting", ["samples", "validate_kimg"])
@pytest.mark.parametrize("cost", [0.005, 0.01, 0.03])
def test_either_setting_makes_it_a_tenth(world, caplog, setting, cost):
    world(cost=cost).train()
    value = float(re.search(rf"{setting}=(\S+)", caplog.text)[1])
    caplog.clear()
    mended = world(cost=cost, **({"samples": value} if setting == "samples" else {"every": value}))
    mended.train()
    share = mended.evaluation.seconds / KIMG
    assert share <= 0.1
    assert share > 0.05 or setting == "validate_kimg"  # a whole number of scorings
    assert caplog.messages == []


def test_scoring_of_a_tenth_and_long_final_scores_are_no_matter(world, caplog):
    world(cost=0.00199).train()
    assert caplog.messages == []


def test_the_first_scoring_is_enough_to_say_so(world, caplog):
    world(cost=0.01).train(kimg=150)
    assert "Scoring took 50 % of the training time" in caplog.text


def test_ten_seconds_of_scoring_are_no_matter(world, caplog):
    world(cost=0.0019, every=10).train(kimg=19)
    assert caplog.messages == []
    world(cost=0.0021, every=10).train(kimg=19)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("cost", [0.002, 0.01, 0.03, 0.1])
def test_scoring_takes_no_more_than_its_share_of_a_run(world, cost):
    """The first scoring is always done; how long one takes is not known before."""
    run = world(cost=cost)
    run.train()
    assert run.evaluation.seconds <= max(0.25 * (KIMG + run.evaluation.seconds), 5000 * cost)
    assert run.evaluation.marks + run.evaluation.left_out == 9
    assert (run.evaluation.left_out > 0) == (cost > 0.005)


def test_intervals_that_are_set_and_a_share_of_1_are_kept(world):
    for settings in ({"every": 100}, {"max_share": 1}):
        run = world(cost=0.03, **settings)
        run.train()
        assert (run.evaluation.marks, run.evaluation.left_out) == (9, 0)


def test_a_callback_that_needs_all_scores_gets_them(world):
    run = world(cost=0.03)
    run.evaluation.run.own_callbacks = [Pruning()]
    run.train()
    assert (run.evaluation.marks, run.evaluation.left_out) == (9, 0)


def test_the_protocol_counts_scorings_that_were_left_out(world):
    run = world(cost=0.03)
    run.train()
    lines = [json.loads(line) for line in (run.record.folder / "metrics.jsonl").read_text().splitlines()]
    counts = [line["protocol"].get("left_out") for line in lines]
    assert counts[0] is None
    assert counts[-1] == run.evaluation.left_out == 7
    assert comparable_protocol("val/fd_lenet", lines[-1]["protocol"]) == comparable_protocol(
        "val/fd_lenet", lines[0]["protocol"]
    )


def test_fewer_samples_than_features_are_not_advised(world, caplog):
    world(cost=0.01, features=2048).train()
    assert "metrics.samples" not in caplog.text
    assert " validate_kimg=500 would reduce it to 10 %" in caplog.text


def test_only_the_first_rank_warns(world, caplog):
    world(cost=0.01, rank=1).train()
    assert caplog.messages == []

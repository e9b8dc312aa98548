"""What the manifest tells of the last checkpoint and the best."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from ganrun import checkpoint
from ganrun.callbacks.checkpointing import Checkpointing

MONITOR = "val/is"


@pytest.fixture
def training(tmp_path):
    """A training of 100 kimg, saved every 30 kimg and whenever it is the best."""
    (tmp_path / "checkpoints").mkdir()
    trainer = SimpleNamespace(is_global_zero=True, save_checkpoint=lambda path: path.write_text("weights"))
    record = SimpleNamespace(
        folder=tmp_path, monitor=MONITOR, mode="max", last={}, best={}, beside_training=nullcontext
    )
    saving = Checkpointing(record, {}, 30)
    model = SimpleNamespace(images_seen=0, progress=0.0)

    def go(scores):
        saving.on_train_start(trainer, model)
        for k in range(10, 101, 10):
            model.images_seen = 1000 * k
            note(record, k, scores)
            saving.on_train_batch_end(trainer, model, None, None, k)
        note(record, 100, {100: scores.get("end")} if "end" in scores else {})
        saving.on_train_end(trainer, model)
        return json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())

    return go


def note(record, kimg, scores):
    if kimg in scores:
        record.last = {"kimg": float(kimg), MONITOR: scores[kimg]}
        if not record.best or scores[kimg] > record.best[MONITOR]:
            record.best = record.last


def test_both_checkpoints_are_named_with_the_monitored_score_of_each(training, tmp_path):
    told = training({40: 2.0, 50: 7.5, 70: 6.0, "end": 6.5})
    assert told == {
        "last": "kimg000100.000.ckpt",
        "best": "kimg000050.000.ckpt",
        "monitor": MONITOR,
        "mode": "max",
        "scores": {"last": {"kimg": 100.0, "value": 6.5}, "best": {"kimg": 50.0, "value": 7.5}},
    }
    for which in ("last", "best"):
        assert checkpoint.find(str(tmp_path), which).name == told[which]


def test_final_scores_after_the_last_save_are_told(training):
    assert training({30: 1.0, 100: 2.0, "end": 3.0})["scores"]["best"] == {"kimg": 100.0, "value": 3.0}


def test_a_checkpoint_that_was_not_scored_has_no_value(training):
    told = training({50: 7.5})
    assert told["scores"]["last"] == {"kimg": 100.0, "value": None}


def test_without_scores_there_is_no_best(training):
    told = training({})
    assert (told["best"], told["scores"]["best"]) == (None, None)

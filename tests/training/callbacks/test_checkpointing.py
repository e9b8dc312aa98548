"""What the manifest tells of the last checkpoint and the best."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from helpers.run_context import bound

from ganrun.training import manifest as manifests
from ganrun.training.callbacks.checkpointing import Checkpointing
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.checkpoint_io import DurableIO

MONITOR = "val/is"


@pytest.fixture
def training(tmp_path):
    """A training of 100 kimg, saved every 30 kimg and whenever it is the best."""

    def save_checkpoint(path, storage_options):
        path.write_text("weights")
        storage_options("digest of " + path.name)

    trainer = SimpleNamespace(is_global_zero=True, loggers=[], save_checkpoint=save_checkpoint)
    record = SimpleNamespace(
        folder=tmp_path, monitor=MONITOR, mode="max", last={}, best={}, outside_training=nullcontext
    )
    saved = []

    def go(scores, start=0, resumed_from=None, **options):
        guard = SimpleNamespace(check=lambda *_: saved.append(1))
        saving = Checkpointing(kimg=30, **options)
        bound(saving, {NanGuard: guard}, record=record, checkpoint_io=DurableIO(), resumed_from=resumed_from)
        saving.folder, saving.metadata = tmp_path / "checkpoints", {}
        model = SimpleNamespace(images_seen=1000 * start, progress=0.0, named_modules=list)
        saving.on_train_start(trainer, model)
        for k in range(start + 10, 101, 10):
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
    saved_manifest = training({40: 2.0, 50: 7.5, 70: 6.0, "end": 6.5})
    digests = saved_manifest.pop("sha256")
    assert saved_manifest == {
        "last": "kimg000100.000.ckpt",
        "previous": "kimg000090.000.ckpt",
        "best": "kimg000050.000.ckpt",
        "kept": [],
        "monitor": MONITOR,
        "mode": "max",
        "scores": {"last": {"kimg": 100.0, "value": 6.5}, "best": {"kimg": 50.0, "value": 7.5}},
    }
    files = {path.name for path in (tmp_path / "checkpoints").glob("*.ckpt")}
    assert files == {saved_manifest["last"], saved_manifest["previous"], saved_manifest["best"]}
    assert digests == {name: f"digest of {name}" for name in files}


def test_final_scores_after_the_last_save_are_in_the_manifest(training):
    assert training({30: 1.0, 100: 2.0, "end": 3.0})["scores"]["best"] == {"kimg": 100.0, "value": 3.0}


def test_a_checkpoint_that_was_not_scored_has_no_value(training):
    saved_manifest = training({50: 7.5})
    assert saved_manifest["scores"]["last"] == {"kimg": 100.0, "value": None}


def test_without_scores_there_is_no_best(training):
    saved_manifest = training({})
    assert (saved_manifest["best"], saved_manifest["scores"]["best"]) == (None, None)


@pytest.mark.parametrize(("keep", "kept"), [(None, [20, 40, 60, 80, 100]), (2, [80, 100])])
def test_some_stay_for_good(training, tmp_path, keep, kept):
    saved_manifest = training({10: 1.0}, every_kimg=20, keep=keep)
    assert saved_manifest["kept"] == [manifests.checkpoint_name(kimg) for kimg in kept]
    files = {path.name for path in (tmp_path / "checkpoints").glob("*.ckpt")}
    assert files == {
        *saved_manifest["kept"],
        saved_manifest["best"],
        saved_manifest["previous"],
        saved_manifest["last"],
    }


def test_a_resumed_training_drops_later_checkpoints_and_keeps_what_no_manifest_named(tmp_path):
    names = [manifests.checkpoint_name(kimg) for kimg in (10, 20, 30, 40)]
    for name in [*names, "kimg000099.000.ckpt", "mine.ckpt", f".{names[3]}.partial"]:
        (tmp_path / name).write_text("weights")
    manifest = manifests.Manifest(last=names[3], previous=names[2], best=names[1], kept=[names[0], names[3]])
    restarted = manifest.restarted_at(names[2], best=names[1])
    manifests.remove_partial_files(tmp_path)
    restarted.commit(tmp_path)
    assert (restarted.last, restarted.previous, restarted.best, restarted.kept) == (
        names[2],
        names[1],
        names[1],
        [names[0]],
    )
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"manifest.json", "kimg000099.000.ckpt", "mine.ckpt", *names[:3]}
    assert manifests.Manifest.read(tmp_path) == restarted

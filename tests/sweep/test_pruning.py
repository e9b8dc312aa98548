"""Pruning of unpromising runs."""

import json
from types import SimpleNamespace

import pytest

from ganrun.sweep import state
from ganrun.sweep.pruning import Pruning, scores_at

METRIC = "val/fd"


def write_run(folder, scores):
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(f"metrics:\n  monitor: {METRIC}\n  mode: min\n")
    (folder / "status.json").write_text(json.dumps({"state": "done", "kimg": 4.0, "seconds": 1.0}))
    lines = [{"kimg": k, METRIC: score, "protocol": {"n": 1}} for k, score in enumerate(scores, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def bound_pruning(record, folder, settings):
    """The callback of a run of 4 kimg in a sweep of these settings."""
    pruning = Pruning()
    pruning.record, pruning.folder, pruning.settings, pruning.kimg = record, folder, settings, 4.0
    return pruning


@pytest.fixture
def sweep(tmp_path):
    """Writes a sweep whose jobs have these scores at 1, 2, ... kimg; returns a function that judges another run."""

    def sweep(*histories, states=(), pruner="median"):
        jobs = []
        for number, scores in enumerate(histories):
            write_run(tmp_path / str(number), scores)
            job_state = states[number] if states else "done"
            jobs.append(state.SweepJob(number, number, {}, 0, str(number), job_state))
        settings = {"pruner": pruner, "pruner_startup": 5}
        state.SweepState(tmp_path, {"settings": settings}, jobs).save()

        def is_pruned_with(*scores, mode="min"):
            own = write_run(tmp_path / "own", scores)
            return bound_pruning(
                SimpleNamespace(folder=own), tmp_path, {**settings, "direction": mode}
            )._is_unpromising()

        return is_pruned_with

    return sweep


FIVE = [[10, 10, i, i] for i in range(1, 6)]  # at 3 kimg the median is 3


def test_a_run_is_pruned_if_its_best_score_is_pruned_with_than_the_median(sweep):
    is_pruned_with = sweep(*FIVE)
    assert is_pruned_with(10, 10, 3.1)
    assert not is_pruned_with(10, 10, 2.9)
    assert not is_pruned_with(2.9, 10, 10)
    assert is_pruned_with(1, 1, 2.9, mode="max")
    assert not is_pruned_with(1, 1, 3.1, mode="max")


def test_first_scores_and_first_runs_are_never_pruned(sweep):
    assert not sweep(*FIVE)(1000)
    assert not sweep(*FIVE[:4])(10, 10, 1000)


def test_only_finished_runs_count(sweep):
    assert not sweep(*FIVE, states=["done"] * 4 + ["running"])(10, 10, 1000)
    assert sweep(*FIVE, states=["done"] * 4 + ["pruned"])(10, 10, 1000)


def test_a_run_that_ended_early_counts_up_to_its_last_score(sweep):
    is_pruned_with = sweep(*FIVE[:4], [10, 10])
    assert is_pruned_with(10, 10, 2.6)  # of the four that came to 3 kimg the median is 2.5
    assert not is_pruned_with(10, 10, 2.4)


def test_scores_are_compared_at_the_same_kimg():
    history = [(1.0, 5.0), (2.01, 4.0), (3.0, 3.0)]
    assert scores_at(history, [1.0, 2.0, 3.0]) == [5.0, 4.0, 3.0]
    assert scores_at(history, [1.5, 2.5]) == [5.0, 4.0]
    assert scores_at(history, [3.0, 4.0]) == [3.0]


def test_nan_scores_do_not_count(sweep):
    nan = float("nan")
    assert sweep(*FIVE, [nan, nan, nan])(10, 10, 3.1)
    assert not sweep(*FIVE, [nan, nan, nan])(10, 10, 2.9)


def test_hyperband_prunes_bad_runs_and_decides_the_same_each_time(sweep):
    histories = [[10 - i, 10 - 2 * i, 10 - 3 * i] for i in range(9)]
    found = [sweep(*histories, pruner="hyperband")(100, 100, 100) for _ in range(2)]
    assert found[0] == found[1]
    assert not sweep(*histories, pruner="hyperband")(0, 0, 0)


def test_without_a_sweep_or_a_pruner_nothing_is_pruned(sweep, tmp_path, monkeypatch):
    run = SimpleNamespace(experiment=SimpleNamespace(suite="scores"))
    monkeypatch.delenv(state.SWEEP_VARIABLE, raising=False)
    assert not Pruning().is_needed(run)
    monkeypatch.setenv(state.SWEEP_VARIABLE, str(tmp_path))
    sweep(*FIVE)
    assert Pruning().is_needed(run)
    assert not Pruning().is_needed(SimpleNamespace(experiment=SimpleNamespace(suite=None)))
    sweep(*FIVE, pruner=None)
    assert not Pruning().is_needed(run)


def test_the_callback_stops_the_training(sweep, tmp_path):
    sweep(*FIVE)
    record = SimpleNamespace(history=[], folder=tmp_path / "own")
    pruning = bound_pruning(record, tmp_path, {"pruner": "median", "pruner_startup": 5})
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(broadcast=lambda value: value), is_global_zero=True, should_stop=False
    )
    model = SimpleNamespace(images_seen=1000, progress=0.25)
    pruning.on_train_start(trainer, model)
    for kimg, score in [(1.0, 10), (2.0, 10), (3.0, 99)]:
        record.history.append((kimg, score))
        write_run(tmp_path / "own", [score for _, score in record.history])
        pruning.on_train_batch_end(trainer, model, None, None, 0)
        assert trainer.should_stop == pruning.is_pruned == (kimg == 3.0)

"""When a training ends because it has collapsed or diverged."""

from types import SimpleNamespace

import pytest
from helpers.run_context import bound
from omegaconf import OmegaConf

from ganrun.training.callbacks.stopping import Stopping
from ganrun.training.run_record import RunRecord

COLLAPSED = "1 of 8 modes"
LEVEL, FALLING, RISING = [9.0] * 8, [90, 70, 50, 30, 20, 12, 8, 5], [9, 5, 8, 12, 18, 25, 40, 60]


@pytest.fixture
def stopped_after(tmp_path):
    """Return after how many scorings a training with these scores ends; None if it does not."""

    def play(values, collapsed=None, batch=1, **settings):
        cfg = {"kimg": 80, "minutes": None, "batch_size": batch, "metrics": {"monitor": "val/fd", "mode": "min"}}
        record = RunRecord(tmp_path, OmegaConf.create(cfg), {}, "32-true")
        callback, trainer = bound(Stopping(**settings), record=record), SimpleNamespace(should_stop=False)
        callback.on_train_start(trainer, None)
        for k, value in enumerate(values):
            callback.on_train_batch_end(trainer, None, None, None, 2 * k)
            assert not trainer.should_stop  # between two scorings
            record.add_scores(1000 * (k + 1), {"val/fd": value}, {}, collapsed)
            callback.on_train_batch_end(trainer, None, None, None, 2 * k + 1)
            if trainer.should_stop:
                return k + 1
        return None

    return play


@pytest.mark.parametrize(
    ("values", "collapsed", "settings", "end"),
    [
        (LEVEL, COLLAPSED, {"on_collapse": "stop"}, 4),
        (LEVEL, COLLAPSED, {"on_diverge": "stop"}, None),
        (LEVEL, None, {"on_collapse": "stop", "on_diverge": "stop"}, None),
        (FALLING, COLLAPSED, {"on_collapse": "stop"}, None),  # it gets better
        (RISING, None, {"on_diverge": "stop"}, 5),
        (RISING, None, {"on_collapse": "stop"}, None),
        (RISING, None, {}, None),
        ([90, 5, 8, float("nan"), 9], None, {"on_diverge": "stop"}, 4),
    ],
)
def test_a_training_ends_only_as_it_is_told_and_when_at_least_four_scores_show_no_recovery(
    stopped_after, values, collapsed, settings, end
):
    assert stopped_after(values, collapsed, **settings) == end


def test_a_collapse_within_the_first_200_batches_is_no_reason(stopped_after):
    assert stopped_after(LEVEL, COLLAPSED, batch=50, on_collapse="stop") is None


def test_a_run_that_goes_on_is_judged_by_its_next_scores(tmp_path):
    cfg = {"kimg": 80, "minutes": None, "metrics": {"monitor": "val/fd", "mode": "min"}}
    record = RunRecord(tmp_path, OmegaConf.create(cfg), {}, "32-true")
    for k in range(5):
        record.add_scores(1000 * (k + 1), {"val/fd": 9.0}, {}, COLLAPSED)
    callback, trainer = bound(Stopping("stop"), record=record), SimpleNamespace(should_stop=False)
    callback.on_train_start(trainer, None)
    callback.on_train_batch_end(trainer, None, None, None, 0)
    assert not trainer.should_stop
    record.add_scores(6000, {"val/fd": 9.0}, {}, COLLAPSED)
    callback.on_train_batch_end(trainer, None, None, None, 1)
    assert trainer.should_stop

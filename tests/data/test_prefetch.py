"""Prefetching: the same items in the same order, in time."""

import itertools
import threading
from contextlib import closing

import pytest
import torch

from ganrun.data.batches import TrainingBatches
from ganrun.data.prefetch import DEPTH, prefetch


def test_items_come_in_order_from_the_start():
    with closing(prefetch(lambda k: k * k, 3)) as items:
        assert list(itertools.islice(items, 5)) == [9, 16, 25, 36, 49]


def test_the_next_items_are_made_while_one_is_used_but_no_more():
    items_made, enough = [], threading.Event()

    def make(k):
        items_made.append(k)
        if len(items_made) == 1 + DEPTH:
            enough.set()
        return k

    with closing(prefetch(make, 0)) as items:
        assert next(items) == 0
        assert enough.wait(10)
    assert items_made == list(range(1 + DEPTH))


def test_an_error_is_raised_in_its_turn_and_the_thread_ends():
    before = threading.active_count()
    items = prefetch(lambda k: 1 / (2 - k), 0)
    assert [next(items), next(items)] == [0.5, 1]
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert threading.active_count() == before


@pytest.mark.parametrize("start", [0, 5])
def test_prefetched_batches_are_the_same(monkeypatch, start):
    arrays = {"x": torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2), "y": torch.arange(10)}
    expected = list(itertools.islice(TrainingBatches(arrays, 4, seed=1, flip=True).endless(start, 1, 2), 9))
    monkeypatch.setattr(TrainingBatches, "_is_copied", True)
    with closing(TrainingBatches(arrays, 4, seed=1, flip=True).endless(start, 1, 2)) as stream:
        for batch, found in zip(expected, stream, strict=False):
            assert all(torch.equal(batch[key], found[key]) for key in "xy")

"""The order of examples, and how they become batches."""

import itertools
import threading
from collections import Counter
from contextlib import closing

import pytest
import torch

from ganrun.data.batches import PREFETCHED, TrainingBatches, place_on_device, prefetch
from ganrun.data.images import to_float
from ganrun.data.keys import Key
from ganrun.data.shuffle import EndlessShuffle
from ganrun.errors import UserError
from ganrun.seeds import named_generator

PICTURE = Key("picture", (1, 1, 2))
LABELLED = {"x": PICTURE, "y": Key("label", moves_with="x")}


def numbered(n):
    """Return n images, one pixel high, number i filled with i and with label i."""
    return {"x": torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 1, 2).clone(), "y": torch.arange(n)}


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (7, 7), (3, 8), (1, 5), (64, 1)])
def test_every_example_is_seen_once_in_every_epoch(n, batch_size):
    batches = TrainingBatches(numbered(n), LABELLED, batch_size, seed=1)
    epochs = 4
    seen = torch.cat([batches.batch(k)["y"] for k in range(-(-n * epochs // batch_size))])
    for epoch in range(epochs):
        assert sorted(seen[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_epochs_seeds_and_names_have_different_orders():
    orders = [
        EndlessShuffle(50, seed, name).indices(start, 50) for seed in (0, 1) for name in "ab" for start in (0, 50)
    ]
    assert len({tuple(order.tolist()) for order in orders}) == len(orders)


def test_every_example_is_equally_likely_to_come_first():
    first = Counter(int(EndlessShuffle(4, seed, "x").indices(0, 1)) for seed in range(2000))
    assert all(abs(count - 500) < 5 * (500 * 0.75) ** 0.5 for count in first.values())  # five deviations


def test_a_batch_depends_only_on_seed_and_number():
    unbroken = TrainingBatches(numbered(10), LABELLED, 4, seed=3, flip=True)
    stream = [unbroken.batch(k) for k in range(12)]
    for k in (11, 0, 7, 3):
        again = TrainingBatches(numbered(10), LABELLED, 4, seed=3, flip=True).batch(k)
        assert all(torch.equal(again[key], stream[k][key]) for key in "xy")


def test_a_stream_that_starts_later_continues_the_uninterrupted_one():
    whole = itertools.islice(TrainingBatches(numbered(10), LABELLED, 4, seed=0).endless(), 9)
    resumed = itertools.islice(TrainingBatches(numbered(10), LABELLED, 4, seed=0).endless(start=5), 4)
    for expected, found in zip(list(whole)[5:], resumed, strict=True):
        assert torch.equal(expected["y"], found["y"])


@pytest.mark.parametrize("world", [2, 3, 6])
def test_the_ranks_slices_make_up_the_joint_batch(world):
    joint = TrainingBatches(numbered(10), LABELLED, 6, seed=0, flip=True)
    for k in range(5):
        slices = [
            TrainingBatches(numbered(10), LABELLED, 6, seed=0, flip=True).batch(k, rank, world) for rank in range(world)
        ]
        for key, whole in joint.batch(k).items():
            assert torch.equal(torch.cat([part[key] for part in slices]), whole)


def test_a_batch_size_that_the_ranks_cannot_share_is_refused_with_one_that_they_can():
    with pytest.raises(UserError, match="batch_size=8"):
        TrainingBatches(numbered(10), LABELLED, 6, seed=0).batch(0, 0, 4)


def test_pictures_keep_their_labels_and_are_scaled():
    x, y = TrainingBatches(numbered(200), LABELLED, 64, seed=0).batch(2).values()
    assert x.dtype == torch.float32
    assert torch.equal(x[:, 0, 0, 0], to_float(y.to(torch.uint8)))


def test_points_are_not_changed():
    points = torch.randn(10, 2, generator=named_generator("points"))
    batch = TrainingBatches(
        {"x": points, "y": torch.arange(10)}, {**LABELLED, "x": Key("points", (2,))}, 5, seed=0
    ).batch(0)
    assert torch.equal(batch["x"], points[batch["y"]])


def test_two_domains_have_independent_orders_and_each_is_seen_completely():
    domains = {"a": numbered(6)["x"], "b": numbered(9)["x"]}
    batches = TrainingBatches(domains, dict.fromkeys("ab", PICTURE), 18, seed=0)
    a, b = (batches.batch(0)[key][:, 0, 0, 0] for key in "ab")
    assert set(Counter(a.tolist()).values()) == {3}
    assert set(Counter(b.tolist()).values()) == {2}
    assert a[:6].tolist() != b[:6].tolist()


def test_a_flip_mirrors_left_and_right_for_half_of_the_pictures():
    x = torch.tensor([[0, 255], [255, 255]], dtype=torch.uint8).expand(1000, 1, 2, 2).clone()
    flipped = TrainingBatches({"x": x}, {"x": PICTURE}, 1000, seed=0, flip=True).batch(0)["x"]
    is_mirrored = flipped[:, 0, 0, 1] == -1
    assert torch.equal(is_mirrored, flipped[:, 0, 0, 0] == 1)
    assert (flipped[:, 0, 1] == 1).all()
    assert abs(is_mirrored.sum() - 500) < 5 * 250**0.5  # five deviations


def test_flips_differ_between_batches():
    x = torch.tensor([[[0, 255]]], dtype=torch.uint8).expand(64, 1, 1, 2).clone()
    batches = TrainingBatches({"x": x}, {"x": PICTURE}, 64, seed=0, flip=True)
    assert not torch.equal(batches.batch(0)["x"], batches.batch(1)["x"])


def test_batches_change_neither_the_global_generator_nor_the_arrays():
    arrays = numbered(10)
    before = torch.random.get_rng_state()
    TrainingBatches(arrays, LABELLED, 4, seed=0, flip=True).batch(0)["x"].zero_()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(arrays["x"], numbered(10)["x"])


@pytest.mark.parametrize("choice", ["auto", "cpu"])
def test_without_a_gpu_the_arrays_stay_where_they_are(choice):
    arrays = numbered(3)
    assert place_on_device(arrays, choice, torch.device("cpu")) is arrays


@pytest.mark.parametrize("choice", ["cuda", "gpu"])
def test_an_impossible_device_is_refused(choice):
    with pytest.raises(UserError, match=f"data.device={choice}"):
        place_on_device(numbered(3), choice, torch.device("cpu"))


def test_a_batch_of_thousands_of_epochs_concatenates_their_orders():
    order = EndlessShuffle(2, 0, "x")
    found = order.indices(1, 6000)
    assert torch.equal(found, torch.cat([order.indices(i, 1) for i in range(1, 6001)]))


def test_items_come_in_order_from_the_start():
    with closing(prefetch(lambda k: k * k, 3)) as items:
        assert list(itertools.islice(items, 5)) == [9, 16, 25, 36, 49]


def test_the_next_items_are_made_while_one_is_used_but_no_more():
    items_made, enough = [], threading.Event()

    def make(k):
        items_made.append(k)
        if len(items_made) == 1 + PREFETCHED:
            enough.set()
        return k

    with closing(prefetch(make, 0)) as items:
        assert next(items) == 0
        assert enough.wait(10)
    assert items_made == list(range(1 + PREFETCHED))


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
    expected = list(itertools.islice(TrainingBatches(arrays, LABELLED, 4, seed=1, flip=True).endless(start, 1, 2), 9))
    monkeypatch.setattr(TrainingBatches, "_is_copied", True)
    with closing(TrainingBatches(arrays, LABELLED, 4, seed=1, flip=True).endless(start, 1, 2)) as stream:
        for batch, found in zip(expected, stream, strict=False):
            assert all(torch.equal(batch[key], found[key]) for key in "xy")

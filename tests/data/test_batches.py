"""The order of examples and what happens to them on their way into a batch."""

import itertools
from collections import Counter

import pytest
import torch

from ganrun.data.batches import TrainingBatches, place_on_device
from ganrun.data.images import to_float
from ganrun.data.shuffle import EndlessShuffle
from ganrun.errors import UserError
from ganrun.seeds import named_generator


def numbered(n):
    """n one-pixel-high pictures, number i filled with i, with label i."""
    return {"x": torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 1, 2).clone(), "y": torch.arange(n)}


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (7, 7), (3, 8), (1, 5), (64, 1)])
def test_every_example_is_seen_once_in_every_epoch(n, batch_size):
    batches = TrainingBatches(numbered(n), batch_size, seed=1)
    epochs = 4
    seen = torch.cat([batches.batch(k)["y"] for k in range(-(-n * epochs // batch_size))])
    for epoch in range(epochs):
        assert sorted(seen[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_epochs_differ_in_their_order_and_so_do_seeds_and_names():
    orders = [
        EndlessShuffle(50, seed, name).indices(start, 50) for seed in (0, 1) for name in "ab" for start in (0, 50)
    ]
    assert len({tuple(order.tolist()) for order in orders}) == len(orders)


def test_the_first_place_is_taken_by_every_example_alike():
    first = Counter(int(EndlessShuffle(4, seed, "x").indices(0, 1)) for seed in range(2000))
    assert all(abs(count - 500) < 5 * (500 * 0.75) ** 0.5 for count in first.values())  # five deviations


def test_a_batch_depends_on_seed_and_number_alone():
    unbroken = TrainingBatches(numbered(10), 4, seed=3, flip=True)
    stream = [unbroken.batch(k) for k in range(12)]
    for k in (11, 0, 7, 3):
        again = TrainingBatches(numbered(10), 4, seed=3, flip=True).batch(k)
        assert all(torch.equal(again[key], stream[k][key]) for key in "xy")


def test_a_stream_that_starts_later_goes_on_with_the_unbroken_one():
    whole = itertools.islice(TrainingBatches(numbered(10), 4, seed=0).endless(), 9)
    resumed = itertools.islice(TrainingBatches(numbered(10), 4, seed=0).endless(start=5), 4)
    for expected, found in zip(list(whole)[5:], resumed, strict=True):
        assert torch.equal(expected["y"], found["y"])


@pytest.mark.parametrize("world", [2, 3, 6])
def test_the_ranks_slices_make_up_the_joint_batch(world):
    joint = TrainingBatches(numbered(10), 6, seed=0, flip=True)
    for k in range(5):
        slices = [TrainingBatches(numbered(10), 6, seed=0, flip=True).batch(k, rank, world) for rank in range(world)]
        for key, whole in joint.batch(k).items():
            assert torch.equal(torch.cat([part[key] for part in slices]), whole)


def test_a_batch_that_cannot_be_shared_names_a_size_that_can():
    with pytest.raises(UserError, match="batch_size=8"):
        TrainingBatches(numbered(10), 6, seed=0).batch(0, 0, 4)


def test_pictures_keep_their_labels_and_are_scaled():
    x, y = TrainingBatches(numbered(200), 64, seed=0).batch(2).values()
    assert x.dtype == torch.float32
    assert torch.equal(x[:, 0, 0, 0], to_float(y.to(torch.uint8)))


def test_points_are_handed_out_as_they_are():
    points = torch.randn(10, 2, generator=named_generator("points"))
    batch = TrainingBatches({"x": points, "y": torch.arange(10)}, 5, seed=0).batch(0)
    assert torch.equal(batch["x"], points[batch["y"]])


def test_two_domains_are_drawn_independently_and_each_wholly():
    domains = {"a": numbered(6)["x"], "b": numbered(9)["x"]}
    batches = TrainingBatches(domains, 18, seed=0)
    a, b = (batches.batch(0)[key][:, 0, 0, 0] for key in "ab")
    assert set(Counter(a.tolist()).values()) == {3}
    assert set(Counter(b.tolist()).values()) == {2}
    assert a[:6].tolist() != b[:6].tolist()


def test_a_flip_mirrors_left_and_right_for_half_of_the_pictures():
    x = torch.tensor([[0, 255], [255, 255]], dtype=torch.uint8).expand(1000, 1, 2, 2).clone()
    flipped = TrainingBatches({"x": x}, 1000, seed=0, flip=True).batch(0)["x"]
    is_mirrored = flipped[:, 0, 0, 1] == -1
    assert torch.equal(is_mirrored, flipped[:, 0, 0, 0] == 1)
    assert (flipped[:, 0, 1] == 1).all()
    assert abs(is_mirrored.sum() - 500) < 5 * 250**0.5  # five deviations


def test_flips_differ_between_batches():
    x = torch.tensor([[[0, 255]]], dtype=torch.uint8).expand(64, 1, 1, 2).clone()
    batches = TrainingBatches({"x": x}, 64, seed=0, flip=True)
    assert not torch.equal(batches.batch(0)["x"], batches.batch(1)["x"])


def test_batches_leave_the_global_generator_and_the_arrays_alone():
    arrays = numbered(10)
    before = torch.random.get_rng_state()
    TrainingBatches(arrays, 4, seed=0, flip=True).batch(0)["x"].zero_()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(arrays["x"], numbered(10)["x"])


@pytest.mark.parametrize("wish", ["auto", "cpu"])
def test_without_a_gpu_the_arrays_stay_where_they_are(wish):
    arrays = numbered(3)
    assert place_on_device(arrays, wish, torch.device("cpu")) is arrays


@pytest.mark.parametrize("wish", ["cuda", "gpu"])
def test_a_device_that_cannot_be_is_refused(wish):
    with pytest.raises(UserError, match=f"data.device={wish}"):
        place_on_device(numbered(3), wish, torch.device("cpu"))


def test_a_batch_of_thousands_of_epochs_is_their_orders_end_to_end():
    order = EndlessShuffle(2, 0, "x")
    found = order.indices(1, 6000)
    assert torch.equal(found, torch.cat([order.indices(place, 1) for place in range(1, 6001)]))

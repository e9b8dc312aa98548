import pytest
import torch
from helpers.metric_fakes import float_rows, seeded_generator

from ganrun.data.images import PADDING
from ganrun.errors import UserError
from ganrun.metrics.scores.nearest import copy_shares, nearest_neighbours, plot_neighbours, relative_distances


def pictures(n, seed, size=8):
    """uint8 [n, 1, size, size]: smooth blots, so that pixels hang together as they do in pictures."""
    coarse = torch.rand(n, 1, 3, 3, generator=seeded_generator(seed)) * 255
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear").round().to(torch.uint8)


def by_loop(x, among, k, own=None):
    """Distances and indices of the k nearest, pair by pair."""
    result = []
    for i, row in enumerate(x.double()):
        pairs = [((row - y).square().sum().sqrt().item(), j) for j, y in enumerate(among.double())]
        result.append(sorted(pair for pair in pairs if own is None or pair[1] != own[i])[:k])
    return [pair[0] for row in result for pair in row], [[pair[1] for pair in row] for row in result]


@pytest.mark.parametrize(("n", "m", "d", "k"), [(20, 30, 3, 5), (9, 50, 40, 1), (33, 8, 2, 8)])
@pytest.mark.parametrize("block", [4, 7, 1024])
def test_neighbours_equal_those_of_a_loop(n, m, d, k, block):
    x, among = float_rows(n, d, 0), float_rows(m, d, 1) + 5
    distance, index = nearest_neighbours(x, among, k, block=block)
    expected = by_loop(x, among, k)
    assert index.tolist() == expected[1]
    assert distance.flatten().tolist() == pytest.approx(expected[0], rel=1e-9)


@pytest.mark.parametrize("block", [4, 1024])
def test_distances_of_images_are_exact(block):
    x, among = pictures(10, 0), pictures(30, 1)
    among[17] = x[3]
    distance, index = nearest_neighbours(x, among, 3, block=block)
    assert (distance[3, 0], index[3, 0]) == (0, 17)
    assert distance.flatten().tolist() == by_loop(x, among, 3)[0]


@pytest.mark.parametrize("block", [4, 1024])
def test_a_row_is_no_neighbour_of_itself(block):
    x, own = float_rows(15, 3, 0), torch.tensor([14, 0, 7, 8, 3])
    distance, index = nearest_neighbours(x[own], x, 14, own=own, block=block)
    expected = by_loop(x[own], x, 14, own=own.tolist())
    assert index.tolist() == expected[1]
    assert distance.flatten().tolist() == pytest.approx(expected[0], rel=1e-9)


def test_more_neighbours_than_there_are_is_refused():
    x = float_rows(5, 2, 0)
    assert nearest_neighbours(x, x, 5)[1].shape == (5, 5)
    with pytest.raises(UserError, match="5 nearest neighbours"):
        nearest_neighbours(x, x, 5, own=torch.arange(5))


def test_the_training_images_are_read_one_block_at_a_time():
    class Watched(torch.Tensor):
        reads = []

        def __getitem__(self, rows):
            part = super().__getitem__(rows).as_subclass(torch.Tensor)
            Watched.reads.append(len(part))
            return part

    nearest_neighbours(float_rows(10, 2, 0), float_rows(50, 2, 1).as_subclass(Watched), 2, block=16)
    assert Watched.reads == [16, 16, 16, 2]


def test_distances_are_relative_to_the_nearest_other_training_image():
    train = torch.tensor([[0.0], [10.0], [14.0], [14.0]])
    samples = torch.tensor([[4.0], [-11.0], [11.0], [14.0], [13.0]])
    assert relative_distances(samples, train).tolist() == [0.4, 1.1, 0.25, 0, float("inf")]  # 14 is there twice


def test_relative_distances_equal_those_of_a_loop():
    samples, train = float_rows(40, 6, 0), float_rows(30, 6, 1)
    expected = []
    for sample in samples:
        (distance,), ((index,),) = by_loop(sample[None], train, 1)
        expected.append(distance / by_loop(train[index][None], train, 1, own=[index])[0][0])
    assert relative_distances(samples, train, block=7).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("make", [pictures, lambda n, seed: float_rows(n, 16, seed)], ids=["pixels", "features"])
def test_copies_are_detected_and_fresh_samples_are_not(make):
    train, held_out, honest = make(500, 0), make(500, 1), make(400, 2)
    copies = train[torch.randint(500, (400,), generator=seeded_generator(3))]
    by_chance = copy_shares(held_out, train, block=256)["copied_share"]
    assert copy_shares(copies, train, block=256) == {"copied_share": 1, "near_copies": 1}
    assert copy_shares(copies, held_out, block=256)["copied_share"] < 0.7
    assert (
        abs(copy_shares(honest, train, block=256)["copied_share"] - by_chance) < 0.1
    )  # three deviations of a difference


def test_a_tenth_of_noisy_copies_shows_in_the_near_copies():
    train, held_out, samples = float_rows(500, 16, 0), float_rows(500, 16, 1), float_rows(400, 16, 2)
    samples[:40] = train[:40] + 0.05 * float_rows(40, 16, 3)
    assert copy_shares(samples, train)["near_copies"] == 0.1
    assert copy_shares(samples, held_out)["near_copies"] == 0


def test_the_grid_shows_each_sample_beside_its_neighbours():
    train, samples = pictures(20, 0), pictures(4, 1)
    samples[1] = train[7]
    places = nearest_neighbours(samples, train, 5)[1]
    picture = plot_neighbours(samples, train, places, n=3)
    assert picture.shape == (3, 3 * (8 + PADDING) + PADDING, 6 * (8 + PADDING) + PADDING)

    def cell(row, column):
        return picture[0, PADDING + row * 10 :, PADDING + column * 10 :][:8, :8]

    assert torch.equal(cell(2, 0), samples[2, 0])
    assert torch.equal(cell(2, 3), train[places[2, 2], 0])
    assert torch.equal(cell(1, 1), samples[1, 0])

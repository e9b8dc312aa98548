"""The high-dimensional mixture against the numbers that define it, and against the scores that count its modes."""

import math
from functools import partial

import pytest
import torch

from ganrun.data.high_dimensional import HighDimensional
from ganrun.data.module import DataModule
from ganrun.errors import UserError

PAPER = {"dimensions": 1200, "directions": 700, "modes": 10, "near": 10.0, "deviation": 0.1, "spread": 1.2}
SMALL = PAPER | {"dimensions": 40, "directions": 25, "deviation": 0.5, "spread": 12.0, "points": 20_000}


@pytest.fixture(scope="module")
def small():
    source = HighDimensional(**SMALL)
    return source, *source.load().splits["train"].values()


def test_every_mode_has_equally_many_points(small):
    _, x, y = small
    assert (x.shape, x.dtype) == ((20_000, 40), torch.float32)
    assert torch.bincount(y).tolist() == [2000] * 10


def test_points_leave_their_mean_only_in_the_directions_of_the_basis(small):
    source, x, y = small
    basis = source.basis()
    offset = x - source.centers[y]
    assert basis.shape == (40, 25)
    assert (basis.T @ basis - torch.eye(25)).abs().max() < 1e-5
    assert (offset - offset @ basis @ basis.T).abs().max() < 1e-4


def test_deviations_along_the_basis_are_gaussian(small):
    source, x, y = small
    z = ((x - source.centers[y]) @ source.basis() / 0.5).double()
    assert z.mean(dim=0).abs().max() < 5 / len(z) ** 0.5
    assert (torch.cov(z.T) - torch.eye(25)).abs().max() < 5 * (2 / len(z)) ** 0.5


def test_sigma_is_the_root_of_the_mean_squared_distance_from_the_mean(small):
    source, x, y = small
    squared = (x - source.centers[y]).double().square().sum(1)
    assert source.sigma == pytest.approx(0.5 * 25**0.5)
    assert squared.mean().sqrt() == pytest.approx(source.sigma, rel=5 / (2 * 25 * len(x)) ** 0.5)


def test_modes_are_further_apart_than_two_radii():
    source = HighDimensional(**PAPER, points=10)
    apart = torch.pdist(source.centers)
    assert apart.min() > 2 * source.near * source.sigma
    assert source.centers.norm(dim=1).min() > source.near * source.sigma


def test_in_the_plot_the_modes_lie_around_a_circle_in_order():
    source = HighDimensional(**PAPER, points=10)
    plotted = source.plane(source.centers)
    turn = torch.atan2(plotted[:, 1], plotted[:, 0]) / (2 * math.pi) * 10
    assert torch.equal(turn.round().long() % 10, torch.arange(10))
    assert plotted.norm(dim=1).std() < 0.1 * plotted.norm(dim=1).mean()


def test_points_depend_only_on_the_seed():
    options = SMALL | {"points": 100}
    points = [HighDimensional(**options, seed=seed).load().splits["train"]["x"] for seed in (0, 0, 1)]
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


def test_a_module_gives_batches_of_points(build):
    options = SMALL | {"points": 100}
    data = build(HighDimensional, gives=("x", "y", "point"), shape=[40], **options)
    batch = data.batch(0)
    assert (batch["x"].shape, batch["y"].shape) == ((4, 40), (4,))
    assert torch.equal(torch.cdist(batch["x"], data.source.centers).argmin(1), batch["y"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modes": 0}, r"data\.modes must be .*got 0"),
        ({"points": 9}, r"data\.points must be .*got 9"),
        ({"deviation": 0.0}, r"data\.deviation must be .*got 0.0"),
        ({"near": -1.0}, r"data\.near must be .*got -1.0"),
        ({"directions": 41}, r"data\.directions must be from 1 to data\.dimensions=40, got 41"),
    ],
)
def test_an_impossible_mixture_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        HighDimensional(**(SMALL | change))


def test_a_plot_shows_the_modes_around_a_circle():
    known = {"gives": ["x", "y", "point"], "shape": [40], "classes": 10, "reference": ["train"]}
    data = DataModule(partial(HighDimensional, **SMALL), "m", batch_size=4, seed=0, flip=False, device="cpu", **known)
    plotted = data.draw(data.source.centers.float())
    is_red = (plotted[0] > 150) & (plotted[1] < 100)
    rows, columns = is_red.nonzero().unbind(1)
    assert rows.max() - rows.min() > 200
    assert columns.max() - columns.min() > 200

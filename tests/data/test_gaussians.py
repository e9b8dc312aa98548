"""The mixtures against the numbers that define them."""

import math

import pytest
import torch

from ganrun.data.gaussians import Grid, Ring
from ganrun.errors import UserError

SOURCES = {
    "ring": (Ring, {"modes": 8, "radius": 1.0, "sigma": 0.01, "points": 100_000}),
    "grid": (Grid, {"side": 5, "spacing": 2.0, "sigma": 0.05, "points": 100_000}),
}


@pytest.fixture(params=SOURCES)
def mixture(request):
    source, options = SOURCES[request.param]
    source = source(**options)
    return source, *source.load().splits["train"].values()


def test_the_ring_has_eight_centres_on_the_unit_circle():
    centers = Ring(**SOURCES["ring"][1]).centers
    expected = [[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)]
    assert torch.allclose(centers, torch.tensor(expected), atol=1e-6)


def test_the_grid_has_twenty_five_centres():
    centers = Grid(**SOURCES["grid"][1]).centers
    assert sorted(map(tuple, centers.tolist())) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]


def test_every_mode_has_equally_many_points(mixture):
    source, x, y = mixture
    assert x.shape == (100_000, 2)
    assert torch.bincount(y).tolist() == [100_000 // len(source.centers)] * len(source.centers)


def test_deviations_are_gaussian_with_the_stated_sigma(mixture):
    source, x, y = mixture
    z = (x - source.centers[y]).double() / source.sigma
    n = len(z)
    assert z.mean(dim=0).abs().max() < 5 / n**0.5
    assert (torch.cov(z.T) - torch.eye(2)).abs().max() < 5 * (2 / n) ** 0.5
    for radius in (1, 2, 3):  # the share within r deviations is 1 - exp(-r^2 / 2)
        expected = 1 - math.exp(-(radius**2) / 2)
        within = (z.norm(dim=1) < radius).double().mean()
        assert abs(within - expected) < 5 * (expected * (1 - expected) / n) ** 0.5


def test_a_point_is_nearest_to_its_own_centre(mixture):
    source, x, y = mixture
    assert torch.equal(torch.cdist(x, source.centers).argmin(dim=1), y)


def test_points_depend_only_on_the_seed():
    options = SOURCES["ring"][1]
    points = [Ring(**options, seed=seed).load().splits["train"]["x"] for seed in (0, 0, 1)]
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])


@pytest.mark.parametrize(
    ("source", "change", "message"),
    [
        ("ring", {"modes": 0}, r"data\.modes must be .*got 0"),
        ("ring", {"points": 7}, r"data\.points must be .*got 7"),
        ("ring", {"sigma": 0.0}, r"data\.sigma must be .*got 0.0"),
        ("grid", {"side": -1}, r"data\.side must be .*got -1"),
    ],
)
def test_an_impossible_mixture_is_refused(source, change, message):
    with pytest.raises(UserError, match=message):
        SOURCES[source][0](**(SOURCES[source][1] | change))

"""Mode coverage of the three mixtures for generators with known answers."""

import pytest
import torch
from helpers.metric_fakes import Points

from ganrun.data.gaussians import Grid, Ring
from ganrun.data.high_dimensional import HighDimensional
from ganrun.data.module import DataModule
from ganrun.metrics.modes import Modes

PAPER = {"dimensions": 1200, "directions": 700, "modes": 10, "near": 10.0, "deviation": 0.1, "spread": 1.2}
SOURCES = {
    "ring": (Ring, {"modes": 8, "radius": 1.0, "sigma": 0.01, "points": 2500}),
    "grid": (Grid, {"side": 5, "spacing": 2.0, "sigma": 0.05, "points": 2500}),
    "mixture_1200": (HighDimensional, PAPER | {"points": 2500}),
}
SETTINGS = {"classes": None, "reference": ["train"], "flip": False, "device": "auto", "batch_size": 4, "seed": 0}
REACH = {"ring": 3, "grid": 3, "mixture_1200": 10}


@pytest.fixture(scope="module", params=SOURCES)
def data(request):
    source, options = SOURCES[request.param]
    shape = [options.get("dimensions", 2)]
    return DataModule(source, name=request.param, gives=["x", "y", "point"], shape=shape, **options, **SETTINGS)


def score(points, data, batch_size=700):
    return Modes("val/mode_overlap", "max", len(points), batch_size).score(Points(points), data)


def off(data, sigmas):
    """One point near each mode, `sigmas` away from it in the direction away from the others: [K, d]."""
    centers = data.source.centers
    away = centers - centers.mean(0)
    away[away.norm(dim=1) < 1e-3, 0] = 1  # the mode in the middle of the grid
    return centers + sigmas * data.source.sigma * torch.nn.functional.normalize(away)


def test_a_generator_that_hits_exactly_k_modes_counts_as_k(data):
    modes = len(data.source.centers)
    for k in range(1, modes + 1):
        result = score(data.source.centers[torch.arange(modes * 10) % k], data)
        assert (result["val/modes"], result["val/high_quality"]) == (k, 1)


def test_points_of_k_modes_of_the_data_count_as_k(data):
    x, y = data.contents.splits["train"].values()
    for k in (1, 3, len(data.source.centers)):
        assert score(x[y < k], data)["val/modes"] == k


def test_the_data_itself_is_nearly_perfect(data):
    result = score(data.contents.splits["train"]["x"], data)
    assert result["val/modes"] == len(data.source.centers)
    assert result["val/high_quality"] > 0.98
    assert result["val/mode_overlap"] > 0.98
    assert result["val/reverse_kl"] < 1e-4


@pytest.mark.parametrize("factor", [1.01, 4 / 3])  # 4/3 of a reach of 3 sigma: 4 sigma
def test_a_generator_beside_the_modes_counts_none(data, factor):
    result = score(off(data, REACH[data.name] * factor), data)
    assert (result["val/modes"], result["val/high_quality"], result["val/mode_overlap"]) == (0, 0, 0)


def test_a_generator_just_within_reach_counts_all(data):
    result = score(off(data, REACH[data.name] * 0.99), data)
    assert (result["val/modes"], result["val/high_quality"]) == (len(data.source.centers), 1)


def test_a_point_between_the_modes_counts_none(data):
    centers = data.source.centers
    middle = (centers[0] + centers[1]) / 2
    assert score(middle.expand(20, -1), data)["val/modes"] == 0


def test_the_protocol_states_the_reach_of_the_data(data):
    protocol = Modes("val/mode_overlap", "max", 10).protocol(data)
    assert protocol["near"] == f"{REACH[data.name]} sigma"
    assert protocol["sigma"] == pytest.approx(data.source.sigma)

import math

import pytest
import torch
from helpers.metric_fakes import normal_rows
from torch.nn.functional import normalize

from ganrun.metrics.score_inputs import ScoreInputs, Statistics
from ganrun.metrics.scores.cmmd import cmmd, squared_mmd


def by_double_loop(x, y, sigma):
    """Gretton et al. 2012, eq. 5, pair by pair."""

    def mean_kernel(a, b):
        squared = [sum((float(p) - float(q)) ** 2 for p, q in zip(s, t, strict=True)) for s in a for t in b]
        return math.fsum(math.exp(-d / (2 * sigma**2)) for d in squared) / len(squared)

    return mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)


def score(real, fake):
    return cmmd.compute(ScoreInputs(Statistics(None, None, None, features=real), None, fake))


@pytest.mark.parametrize(("n", "m", "d", "sigma"), [(2, 3, 4, 10), (9, 7, 2, 1), (12, 12, 6, 0.3)])
def test_it_is_the_double_loop(n, m, d, sigma):
    x, y = normal_rows(n, d, 1), normal_rows(m, d, 2) + 0.4
    assert squared_mmd(x, y, sigma, block=5) == pytest.approx(by_double_loop(x, y, sigma), rel=1e-9, abs=1e-14)


def test_the_score_is_a_thousand_times_the_double_loop_at_width_ten():
    real, fake = normalize(normal_rows(20, 8, 1)), normalize(normal_rows(15, 8, 2) + 0.5)
    assert score(real, fake) == pytest.approx(1000 * by_double_loop(real, fake, 10), rel=1e-9)


@pytest.mark.parametrize("distance", [1e-6, 0.5, 2])
def test_two_points_score_by_the_kernel_at_their_distance(distance):
    real = torch.zeros(6, 3)
    fake = torch.tensor([[distance, 0, 0]]).expand(4, 3)
    assert score(real, fake) == pytest.approx(-2000 * math.expm1(-(distance**2) / 200), rel=1e-6)


def test_equal_sets_score_zero():
    x = normalize(normal_rows(30, 16, 1))
    assert score(x, x) == pytest.approx(0, abs=1e-9)


def test_two_samples_of_one_distribution_score_the_bias_of_the_estimator():
    """The expectation is (1 - E k)(1/n + 1/m), as the pairs of a row with itself count."""
    n, m, kernel = 40, 25, []
    values = []
    for seed in range(200):
        x, y = normal_rows(n, 5, 2 * seed), normal_rows(m, 5, 2 * seed + 1)
        values.append(squared_mmd(x, y, 2))
        kernel.append(1 - torch.exp(-(x[0] - x[1]).square().sum() / 8).item())
    expected = sum(kernel) / len(kernel) * (1 / n + 1 / m)
    assert sum(values) / len(values) == pytest.approx(expected, rel=0.1)


def test_order_and_the_size_of_blocks_do_not_matter():
    x, y = normal_rows(30, 4, 1), normal_rows(20, 4, 2) + 1
    expected = squared_mmd(x, y, 1)
    assert squared_mmd(x.flip(0), y[torch.randperm(20, generator=torch.Generator().manual_seed(0))], 1, 7) == (
        pytest.approx(expected, rel=1e-12)
    )
    assert squared_mmd(y, x, 1) == pytest.approx(expected, rel=1e-12)


def test_float32_features_give_the_number_of_float64_ones():
    real, fake = normalize(normal_rows(200, 64, 1)), normalize(normal_rows(200, 64, 2) + 0.02)
    assert score(real.float(), fake.float()) == pytest.approx(score(real, fake), rel=1e-4)

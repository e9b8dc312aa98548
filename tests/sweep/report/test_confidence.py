"""The test that tells points apart, against closed forms, scipy and random numbers."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from ganrun.sweep.report.confidence import LEVEL, student_tails, welch_p_value


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 4.0, 30.0])
def test_the_tails_of_one_and_two_degrees_have_closed_forms(t):
    assert student_tails(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(t), abs=1e-6)  # Cauchy
    assert student_tails(t, 2) == pytest.approx(1 - t / math.sqrt(2 + t * t), abs=1e-6)


@pytest.mark.parametrize("sizes", [(2, 2), (2, 9), (3, 3), (5, 4), (10, 30)])
def test_the_p_value_is_that_of_scipy(sizes):
    generator = np.random.default_rng(0)
    for shift, scale in ((0, 1), (1, 5), (3, 0.1), (-2, 1)):
        first, second = generator.normal(size=sizes[0]), generator.normal(shift, scale, sizes[1])
        expected = ttest_ind(first, second, equal_var=False).pvalue
        assert welch_p_value(first, second) == pytest.approx(expected, abs=1e-5)


def test_three_seeds_of_equal_points_are_seldom_told_apart():
    samples = np.random.default_rng(0).normal(size=(1000, 2, 3))
    assert np.mean([welch_p_value(*pair) < LEVEL for pair in samples]) < 0.05


def test_scores_without_any_spread_are_equal_or_not():
    assert welch_p_value([1.0, 1.0], [1.0, 1.0]) == 1
    assert welch_p_value([1.0, 1.0], [2.0, 2.0]) == 0

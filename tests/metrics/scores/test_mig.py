"""The mutual information gap against closed forms, scikit-learn and a loop over counts."""

import math

import numpy as np
import pytest
import torch
from helpers.factor_codes import draw_independent, random_codes, rotated, standardized
from sklearn.metrics import mutual_info_score

from ganrun.metrics.scores.mig import BINS, entropy, mutual_information, mutual_information_gap

FACTORS = draw_independent()
PERFECT = standardized(FACTORS)


def test_the_gap_is_one_for_a_code_of_each_factor_and_zero_if_two_codes_know_as_much():
    assert mutual_information_gap(PERFECT, FACTORS) == pytest.approx(1, abs=0.01)
    assert mutual_information_gap(torch.cat([PERFECT, -2 * PERFECT], dim=1), FACTORS) == pytest.approx(0)
    assert mutual_information_gap(PERFECT[:, :1], FACTORS[:, :1]) == pytest.approx(1)  # there is no second code


def test_a_rotation_takes_the_gap_of_two_factors():
    """Of two fair coins, sum and difference know as much of either: 0 for two of three factors, 1 for the third."""
    factors = torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(4))
    assert mutual_information_gap(standardized(factors), factors) == pytest.approx(1)
    assert mutual_information_gap(rotated(standardized(factors)), factors) == pytest.approx(1 / 3)


def test_codes_that_know_nothing_have_no_gap():
    assert mutual_information_gap(random_codes(20_000, 5), draw_independent(20_000)) == pytest.approx(0, abs=0.002)
    assert mutual_information_gap(torch.ones(2000, 4, dtype=torch.float64), FACTORS) == 0


def test_a_factor_that_does_not_vary_has_no_gap_to_speak_of():
    assert math.isnan(mutual_information_gap(PERFECT, torch.cat([FACTORS, 0 * FACTORS[:, :1]], dim=1)))


def test_a_noisy_copy_has_the_information_of_a_binary_symmetric_channel():
    """A code that is wrong about a fair coin with probability 0.1: I = ln 2 - H(0.1)."""
    coin = torch.arange(1000) % 2
    code = torch.where(torch.arange(1000) // 2 % 10 == 0, 1 - coin, coin)
    lost = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    gap = mutual_information_gap(code[:, None].double(), coin[:, None])
    assert gap == pytest.approx((math.log(2) - lost) / math.log(2))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_number_of_histograms_and_a_loop(seed):
    factors = draw_independent(500, seed)
    codes = torch.cat([rotated(standardized(factors)), random_codes(500, 2, seed)], 1) + 0.3 * random_codes(500, 5, 9)
    gaps = []
    for v in factors.T.numpy():
        known = []
        for z in codes.T.numpy():
            binned = np.digitize(z, np.histogram(z, BINS)[1][:-1])
            counts = np.zeros((BINS, v.max() + 1))
            for row, column in zip(binned, v, strict=True):
                counts[row - 1, column] += 1
            p = counts / counts.sum()
            outer = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
            known.append((p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum())
            assert known[-1] == pytest.approx(mutual_info_score(v, binned))
        second, first = sorted(known)[-2:]
        gaps.append((first - second) / mutual_info_score(v, v))
    assert mutual_information_gap(codes, factors) == pytest.approx(np.mean(gaps))


def test_order_and_scale_of_the_codes_do_not_count():
    codes = torch.cat([PERFECT, random_codes(d=2)], dim=1) + 0.4 * random_codes(d=5, seed=2)
    changed = codes[:, [3, 1, 4, 0, 2]] * torch.tensor([4.0, -2, 0.5, 1e-3, 64])
    assert mutual_information_gap(changed, FACTORS) == pytest.approx(mutual_information_gap(codes, FACTORS), abs=2e-3)


def test_entropy_and_information_of_known_distributions():
    assert entropy(torch.arange(8)) == pytest.approx(math.log(8))
    assert entropy(torch.zeros(5, dtype=torch.long)) == 0
    a, b = torch.cartesian_prod(torch.arange(3), torch.arange(4)).T
    assert mutual_information(a, b) == pytest.approx(0, abs=1e-12)
    assert mutual_information(a, 2 - a) == pytest.approx(math.log(3))

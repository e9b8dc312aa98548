"""DCI: by hand from importance matrices, and of codes whose relation to the factors is known."""

import math

import pytest
import torch
from helpers.factor_codes import SIZES, draw_independent, random_codes, rotated, standardized

from ganrun.metrics.scores.dci import DCI, concentration, dci_scores

FACTORS = draw_independent(600)
PERFECT = standardized(FACTORS) + 0.1 * random_codes(600)
CHANCE = sum(1 / size for size in SIZES) / len(SIZES)


def dci_of(codes, factors=FACTORS, seed=0):
    return tuple(dci_scores(codes, factors, 300, seed).values())


def test_disentanglement_and_completeness_by_hand():
    """Rows: D = 1 - H in units of ln 2, weighted by 3/4 and 1/4. Columns: weights 5/8 and 3/8."""
    importance = torch.tensor([[2.0, 1.0], [0.5, 0.5]], dtype=torch.float64)

    def h(p):
        return -(p * math.log2(p) + (1 - p) * math.log2(1 - p))

    assert concentration(importance) == pytest.approx(3 / 4 * (1 - h(2 / 3)) + 1 / 4 * 0)
    assert concentration(importance.T) == pytest.approx(5 / 8 * (1 - h(4 / 5)) + 3 / 8 * (1 - h(2 / 3)))


def test_the_extremes():
    identity = torch.eye(3, dtype=torch.float64)
    assert concentration(identity) == pytest.approx(1)
    assert concentration(torch.ones(3, 4, dtype=torch.float64)) == pytest.approx(0)
    assert concentration(torch.zeros(3, 4, dtype=torch.float64)) == pytest.approx(0)
    twice = torch.cat([identity, identity])  # two codes for each factor: disentangled and not complete
    assert concentration(twice) == pytest.approx(1)
    assert concentration(twice.T) == pytest.approx(1 - math.log(2) / math.log(6))
    unused = torch.cat([identity, torch.zeros(2, 3, dtype=torch.float64)])  # codes without importance do not count
    assert concentration(unused) == pytest.approx(1)


def test_one_code_for_each_factor_is_perfect():
    assert dci_of(torch.cat([PERFECT, random_codes(600, 2, 2)], dim=1)) == pytest.approx((1, 1, 1), abs=0.01)


def test_a_rotation_lowers_disentanglement_and_completeness_and_keeps_the_information():
    """Two of three codes are shared by two factors: about 1/3 + 2/3 (1 - ln 2 / ln 3)."""
    disentanglement, completeness, informativeness = dci_of(rotated(PERFECT))
    assert disentanglement == pytest.approx(1 - 2 / 3 * math.log(2) / math.log(3), abs=0.05)
    assert completeness == pytest.approx(disentanglement, abs=0.05)
    assert informativeness > 0.97


def test_codes_that_know_nothing():
    disentanglement, completeness, informativeness = dci_of(random_codes(600))
    assert disentanglement == pytest.approx(0, abs=0.05)
    assert completeness == pytest.approx(0, abs=0.05)
    assert informativeness == pytest.approx(CHANCE, abs=0.06)


def test_codes_that_do_not_vary_have_zero_and_the_accuracy_of_the_most_frequent_values():
    disentanglement, completeness, informativeness = dci_of(torch.ones(600, 4, dtype=torch.float64))
    assert (disentanglement, completeness) == pytest.approx((0, 0), abs=1e-9)
    modes = FACTORS[:300].mode(0).values
    assert informativeness == pytest.approx((FACTORS[300:] == modes).double().mean().item())


@pytest.mark.slow
def test_order_and_scale_of_the_codes_do_not_count():
    codes = rotated(PERFECT) + 0.2 * random_codes(600, 3, 4)
    changed = codes[:, [2, 0, 1]] * torch.tensor([4.0, -2, 0.001])
    assert dci_of(changed) == pytest.approx(dci_of(codes), abs=0.02)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores():
    assert dci_of(random_codes(600), seed=3) == dci_of(random_codes(600), seed=3)


def test_a_factor_that_does_not_vary_where_the_trees_are_fitted_has_no_score():
    factors = FACTORS.clone()
    factors[:300, 1] = 2
    assert all(math.isnan(value) for value in dci_of(PERFECT, factors))
    assert [*dci_scores(PERFECT, factors, 300, 0)] == [*DCI.numbers]

"""The factor-VAE score of codes whose relation to the factors is known."""

import numpy as np
import pytest
import torch
from helpers.factor_codes import SIZES, draw_independent, random_codes, rotated, standardized

from ganrun.metrics.scores.factor_vae import COLLAPSED, count_votes, factor_vae_score
from ganrun.seeds import generator

FACTORS = draw_independent()
PERFECT = standardized(FACTORS) + 0.1 * random_codes()


def score_of(codes, factors=FACTORS):
    return factor_vae_score(codes, factors, generator(0))


def test_one_code_for_each_factor_is_perfect():
    assert score_of(PERFECT) == 1
    assert score_of(torch.cat([PERFECT, random_codes(d=5, seed=2)], dim=1)) == 1  # others do not matter


def test_codes_that_know_nothing_are_right_by_chance():
    assert score_of(random_codes(d=6)) == pytest.approx(1 / len(SIZES), abs=0.05)


def test_a_rotation_of_two_codes_lowers_the_score():
    assert 1 / 3 < score_of(rotated(PERFECT)) < 0.8


def test_codes_that_do_not_vary_have_no_score_and_no_vote():
    assert score_of(torch.ones(2000, 3, dtype=torch.float64)) == 0
    constant = torch.ones(2000, 1, dtype=torch.float64)
    nearly = constant + COLLAPSED / 2 * standardized(FACTORS[:, :1])
    assert score_of(torch.cat([constant, PERFECT, constant], dim=1)) == 1
    assert score_of(torch.cat([PERFECT[:, 1:], nearly], dim=1)) < 0.9  # what it knows of the first factor is left out


def test_order_and_scale_of_the_codes_do_not_count():
    codes = torch.cat([rotated(PERFECT), random_codes(d=2, seed=3)], dim=1)
    expected = score_of(codes)
    assert score_of(codes[:, [4, 0, 3, 2, 1]]) == expected
    assert score_of(1e-3 * codes) == expected
    assert score_of(codes * torch.tensor([1, -2, 4, 0.5, 3])) == expected


def test_the_same_generator_gives_the_same_score_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    assert score_of(random_codes(d=6)) == score_of(random_codes(d=6))
    assert torch.equal(torch.get_rng_state(), state)


def test_votes_are_those_of_a_loop_over_batches():
    """The loop draws other batches: the shares of the votes agree within their errors."""
    codes, rng, batches = rotated(PERFECT) / rotated(PERFECT).std(0), np.random.default_rng(0), 3000
    votes, z, v = np.zeros((3, 3)), codes.numpy(), FACTORS.numpy()
    for _ in range(batches):
        factor = rng.integers(3)
        value = v[rng.integers(len(v)), factor]
        rows = rng.choice(np.flatnonzero(v[:, factor] == value), 64)
        votes[factor, z[rows].var(0, ddof=1).argmin()] += 1
    found = count_votes(codes, FACTORS, 10_000, generator(0))
    assert found.sum() == 10_000
    assert found.numpy() / 10_000 == pytest.approx(votes / batches, abs=0.03)


def test_the_fixed_value_is_that_of_an_example():
    """A value that 1 of 100 examples has is fixed in about 1 of 100 batches, not in half of them."""
    factors = (torch.arange(2000) % 100 == 0).long()[:, None]
    codes = torch.where(factors == 1, random_codes(d=1), 0 * random_codes(d=1))  # varies only where the value is 1
    votes = count_votes(torch.cat([codes, 0.1 * random_codes(d=1, seed=2)], dim=1), factors, 5000, generator(0))
    assert votes[0, 1] / 5000 == pytest.approx(0.01, abs=0.005)

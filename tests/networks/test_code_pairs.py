"""Pairs of codes: what they share, and the distribution of what they do not share, against rejection of other pairs."""

import pytest
import torch
from scipy.stats import ks_1samp, ks_2samp

from ganrun.networks.codes import Categorical, Continuous, LatentCodes

THREE = {"c1": 4, "c2": "uniform", "c3": "normal"}
NAMES, COLUMNS = [*THREE], {"c1": [0, 1, 2, 3], "c2": [4], "c3": [5]}
GAPS = [0.0, 0.5, 1.9]
FLOAT64 = torch.zeros(1, dtype=torch.float64)
N = 20_000


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def sample_pairs(code, gap, n=N):
    return code.draw_apart(n, FLOAT64, torch.tensor(gap, dtype=torch.float64))


def rejected(code, gap):
    """Independent pairs, without those whose difference is below the gap."""
    pairs = torch.stack([code.draw(20 * N, FLOAT64, None), code.draw(20 * N, FLOAT64, None)], dim=1)
    return pairs[(pairs[:, 0] - pairs[:, 1]).abs()[:, 0] >= gap]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gap", GAPS)
def test_the_chosen_code_and_the_noise_are_shared_and_other_codes_are_apart(name, gap):
    codes = LatentCodes(THREE, z_dim=9)
    z = torch.cat([codes.draw(N, FLOAT64), torch.randn(N, 3, dtype=torch.float64)], dim=1)
    k = torch.full((N,), NAMES.index(name))
    first, second = codes.share(k, z, codes.draw_apart(N, FLOAT64, torch.tensor(gap, dtype=torch.float64)))
    shared = [*COLUMNS[name], 6, 7, 8]
    assert torch.equal(first[:, shared], z[:, shared])
    assert torch.equal(second[:, shared], z[:, shared])
    for other in set(NAMES) - {name}:
        difference = (first - second)[:, COLUMNS[other]].abs().amax(1)
        least = float(gap > 0) if other == "c1" else gap
        assert difference.min() >= least - 1e-12
        assert difference.max() > 0


def test_each_row_has_a_shared_code_of_its_own():
    codes = LatentCodes(THREE, z_dim=7)
    z, k = torch.cat([codes.draw(6, FLOAT64), torch.zeros(6, 1)], dim=1), torch.tensor([2, 0, 1, 1, 0, 2])
    apart = codes.draw_apart(6, FLOAT64, torch.tensor(0.5))
    first, second = codes.share(k, z, apart)
    for row in range(6):
        for name, columns in COLUMNS.items():
            pair = first[row, columns], second[row, columns]
            expected = (z[row, columns],) * 2 if NAMES[k[row]] == name else apart[row, :, columns]
            assert all(map(torch.equal, pair, expected))


@pytest.mark.parametrize("is_normal", [False, True])
@pytest.mark.parametrize("gap", GAPS)
def test_numbers_apart_are_distributed_as_independent_ones_that_are_as_far_apart(is_normal, gap):
    pairs, expected = sample_pairs(Continuous(is_normal), gap)[:, :, 0], rejected(Continuous(is_normal), gap)[:, :, 0]
    for found, wanted in [(pairs, expected), (pairs.flip(1), expected), (pairs.diff(dim=1), expected.diff(dim=1))]:
        assert ks_2samp(found[:, 0], wanted[:, 0]).pvalue > 0.001
    assert ks_2samp(pairs.sum(1), expected.sum(1)).pvalue > 0.001


@pytest.mark.parametrize("gap", GAPS)
def test_a_uniform_code_of_a_pair_has_the_density_of_the_triangles_that_the_gap_leaves(gap):
    """c of a pair is c' + gap or more, or c' - gap or less: P(c < x) is an area over that of both triangles."""

    def share_below(x):
        return ((x + 1 - gap).clip(min=0) ** 2 + (2 - gap) ** 2 - (1 - gap - x).clip(min=0) ** 2) / 2 / (2 - gap) ** 2

    for c in sample_pairs(Continuous(False), gap)[:, :, 0].unbind(1):
        assert ks_1samp(c.numpy(), share_below).pvalue > 0.001


def test_without_a_gap_numbers_are_independent_draws():
    for code in (Continuous(False), Continuous(True)):
        torch.manual_seed(1)
        found = sample_pairs(code, 0.0)
        torch.manual_seed(1)
        expected = (
            torch.randn(N, 2, dtype=torch.float64) if code.is_normal else torch.rand(N, 2, dtype=torch.float64) * 2 - 1
        )
        assert torch.allclose(found[:, :, 0], expected, rtol=0, atol=1e-9)


def test_categories_differ_while_there_is_a_gap_and_are_independent_without_one():
    for gap, same in {0.0: 1 / 16, 0.01: 0.0, 1.9: 0.0}.items():
        first, second = sample_pairs(Categorical(4), gap).unbind(1)
        assert torch.equal(first.sum(1), torch.ones(N))
        assert torch.equal(second.sum(1), torch.ones(N))
        shares = first.T @ second / N
        expected = torch.full((4, 4), (1 - 4 * same) / 12, dtype=torch.float64).fill_diagonal_(same)
        assert torch.allclose(shares, expected, rtol=0, atol=0.01)
        assert (shares.diagonal() > 0).all() == (gap == 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pairs_have_the_dtype_of_the_latents_and_are_finite(dtype):
    codes = LatentCodes(THREE, z_dim=9)
    apart = codes.draw_apart(N, torch.zeros(1, dtype=dtype), torch.tensor(1.9, dtype=dtype))
    assert apart.dtype == dtype
    assert apart.isfinite().all()
    assert (apart[:, 0] - apart[:, 1])[:, 4:].abs().min() > 1.8

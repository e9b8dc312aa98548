import numpy as np
import pytest
import torch
from helpers.metric_fakes import normal_rows
from helpers.metric_ranks import of_two_ranks
from scipy.linalg import sqrtm
from torchmetrics.image.fid import FrechetInceptionDistance

from ganrun.metrics.scores.frechet import (
    FrechetDistance,
    IdentityFeatures,
    cholesky_factor,
    frechet_distance,
    moments,
    trace_of_sqrt,
)


def with_moments(mean, covariance, n=200, seed=0):
    """n features whose mean and unbiased covariance are exactly the given ones."""
    x = normal_rows(n, len(mean), seed)
    x = x - x.mean(0)
    whitening = torch.linalg.cholesky(torch.atleast_2d(torch.cov(x.T)))
    x = torch.linalg.solve_triangular(whitening, x.T, upper=False).T
    return x @ torch.linalg.cholesky(covariance).T + mean


def distance(real, fake, metric=None):
    metric = metric or FrechetDistance(real.shape[1])
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute().item()


def stock(real, fake):
    metric = FrechetInceptionDistance(IdentityFeatures(real.shape[1]))
    metric.set_dtype(torch.float64)
    return distance(real, fake, metric)


def by_singular_values(real, fake):
    """The trace of the root of s1 s2 is the sum of the singular values of A B^T, where s1 = A^T A and s2 = B^T B."""
    a = (real - real.mean(0)) / (len(real) - 1) ** 0.5
    b = (fake - fake.mean(0)) / (len(fake) - 1) ** 0.5
    root = torch.linalg.svdvals(a @ b.T).sum()
    return ((real.mean(0) - fake.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * root).item()


def by_scipy(real, fake):
    """Heusel et al. 2017, eq. 6, as it stands."""
    s1, s2 = np.cov(real.T), np.cov(fake.T)
    root = sqrtm(s1 @ s2).real
    return ((real.mean(0) - fake.mean(0)).square().sum() + np.trace(s1 + s2 - 2 * root)).item()


def test_equal_covariances_leave_the_squared_distance_of_the_means():
    covariance = torch.cov(normal_rows(50, 5, 1).T)
    m1, m2 = torch.zeros(5, dtype=torch.float64), torch.arange(5, dtype=torch.float64)
    result = distance(with_moments(m1, covariance), with_moments(m2, covariance, seed=2))
    assert result == pytest.approx(0 + 1 + 4 + 9 + 16, rel=1e-9)


@pytest.mark.parametrize(("m1", "m2", "s1", "s2"), [(0, 3, 1, 1), (-1, 1, 2, 0.5), (0.2, 0.2, 0.1, 10)])
def test_one_dimensional_gaussians_follow_the_closed_form(m1, m2, s1, s2):
    mean, variance = torch.tensor([[m1], [m2]]).double(), torch.tensor([[[s1]], [[s2]]]).double() ** 2
    result = distance(with_moments(mean[0], variance[0]), with_moments(mean[1], variance[1], n=99, seed=2))
    assert result == pytest.approx((m1 - m2) ** 2 + (s1 - s2) ** 2, rel=1e-9)


def test_commuting_covariances_add_squared_differences_of_deviations():
    s1, s2 = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 4.0, 0.25]).double()
    mean = torch.ones(3, dtype=torch.float64)
    result = distance(with_moments(mean, s1.diag()), with_moments(mean + 2, s2.diag(), seed=2))
    assert result == pytest.approx(3 * 4 + 1 + 0 + 2.5**2, rel=1e-9)


def test_two_by_two_covariances_that_do_not_commute_follow_the_closed_form():
    s1 = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    s2 = torch.tensor([[1.0, -0.7], [-0.7, 3.0]]).double()
    mean = torch.zeros(2, dtype=torch.float64)
    product = s1 @ s2
    root = (product.trace() + 2 * torch.linalg.det(product).sqrt()).sqrt()  # trace of a 2x2 root
    expected = (s1.trace() + s2.trace() - 2 * root).item()
    assert distance(with_moments(mean, s1), with_moments(mean, s2, seed=2)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(30, 2), (200, 16), (9, 40), (60, 300), (2, 128)])
@pytest.mark.parametrize("scale", [1, 1e-4, 1e4])
def test_a_set_and_its_own_copy_in_another_order_have_a_distance_of_exactly_0(n, d, scale):
    x = (normal_rows(n, d, 3) * torch.linspace(0.01, 2, d) + 3) * scale
    assert distance(x, x.flip(0)) == 0


def test_a_small_distance_is_not_taken_for_rounding():
    x = normal_rows(400, 64, 3) + 3
    assert distance(x, x + 1e-5) == pytest.approx(64 * 1e-10, rel=1e-3)


def test_a_distance_of_nan_stays_nan():
    x = normal_rows(30, 2, 3)
    moments_of = x.mean(0), torch.cov(x.T)
    assert frechet_distance(moments_of[0] * torch.nan, moments_of[1], *moments_of).isnan()


@pytest.mark.parametrize(("n", "d"), [(30, 2), (200, 16), (400, 64)])
def test_the_cholesky_route_gives_torchmetrics_number(n, d):
    real, fake = normal_rows(n, d, 1), normal_rows(n + 7, d, 2, scale=1.5) + 0.3
    assert distance(real, fake) == pytest.approx(stock(real, fake), rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(400, 64), (1000, 256)])
def test_the_distance_is_that_of_scipys_matrix_root(n, d):
    real, fake = normal_rows(n, d, 1), normal_rows(n + 7, d, 2, scale=1.5) + 0.3
    assert distance(real, fake) == pytest.approx(by_scipy(real, fake), rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(63, 64), (30, 64), (100, 256)])
def test_fewer_samples_than_features_give_the_number_of_scipys_root(n, d):
    real, fake = normal_rows(n, d, 1), normal_rows(n - 7, d, 2, scale=1.5) + 0.3
    assert distance(real, fake) == pytest.approx(by_scipy(real, fake), rel=1e-6)


@pytest.mark.parametrize("n", [20, 90])  # singular, and not
@pytest.mark.parametrize("block", [1, 7, 40, 64])
def test_the_trace_is_that_of_scipys_root_for_any_block_size(n, block):
    s1, s2 = torch.cov(normal_rows(n, 40, 1).T), torch.cov(normal_rows(n, 40, 2).T)
    result = trace_of_sqrt(cholesky_factor(s1), s2, block).item()
    assert result == pytest.approx(sqrtm((s1 @ s2).numpy()).real.trace(), rel=1e-6)


@pytest.mark.parametrize("d", [3, 40, 100])
def test_fewer_samples_than_features_give_the_number_of_the_singular_values(d):
    real, fake = normal_rows(20, d, 1), normal_rows(25, d, 2) + 0.1
    assert distance(real, fake) == pytest.approx(by_singular_values(real, fake), rel=1e-6)


def test_a_feature_that_is_always_zero_is_handled_by_the_symmetric_root():
    real, fake = normal_rows(100, 8, 1), normal_rows(100, 8, 2) * 2
    real[:, 3] = 0
    assert torch.linalg.cholesky_ex(moments(real.sum(0), real.T @ real, torch.tensor(100))[1])[1] > 0
    assert distance(real, fake) == pytest.approx(by_singular_values(real, fake), rel=1e-7)


def test_loaded_sums_replace_the_real_features():
    real, fake = normal_rows(50, 4, 1), normal_rows(60, 4, 2)
    metric = FrechetDistance(4)
    metric.load_real(real.sum(0), real.T @ real, torch.tensor(50))
    metric.update(fake, real=False)
    assert metric.compute().item() == pytest.approx(distance(real, fake), rel=1e-12)


def test_the_distance_is_float64_for_float32_features():
    metric = FrechetDistance(2)
    metric.update(normal_rows(9, 2, 0).float(), real=True)
    metric.update(normal_rows(9, 2, 1).float(), real=False)
    assert metric.compute().dtype == torch.float64


def of_rank(rank, real, fake):
    metric = FrechetDistance(real.shape[1])
    if rank == 0:
        metric.load_real(real.sum(0), real.T @ real, torch.tensor(len(real)))
    metric.update(fake[rank::2], real=False)
    return metric.compute()


@pytest.mark.slow
def test_two_processes_give_the_distance_of_one(tmp_path):
    real, fake = normal_rows(50, 4, 1), normal_rows(61, 4, 2)
    assert of_two_ranks(tmp_path, of_rank, real, fake) == pytest.approx([distance(real, fake)] * 2, rel=1e-12)

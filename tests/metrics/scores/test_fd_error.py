"""The standard error of the Frechet distance, against fresh samples, a bootstrap, the jackknife and autograd."""

import math

import pytest
import torch
from helpers.metric_fakes import normal_rows

from ganrun.metrics.scores.fd_error import influences, standard_error
from ganrun.metrics.scores.frechet import frechet_distance


def mean_and_covariance(x):
    return x.mean(0), x.T.cov()


def distance(real, fake):
    return frechet_distance(*mean_and_covariance(real), *mean_and_covariance(fake)).item()


def error(real, fake):
    return standard_error(fake, len(fake), mean_and_covariance(real), mean_and_covariance(fake))


def fakes(n, seed):
    """Samples that are not normal: the cubes have long tails."""
    x = normal_rows(n, 5, seed)
    return 0.7 * x + 0.1 * x**3 + torch.linspace(0, 1, 5, dtype=x.dtype)


@pytest.fixture(scope="module")
def real():
    return normal_rows(3000, 5, 0)


def test_it_is_the_deviation_over_fresh_sets_of_samples(real):
    sets = [fakes(1000, seed) for seed in range(1, 301)]
    distances = torch.tensor([distance(real, x) for x in sets])
    errors = torch.tensor([error(real, x) for x in sets])
    assert errors.mean() == pytest.approx(distances.std().item(), rel=0.1)  # whose own error is 4 %
    assert errors.std() < 0.2 * errors.mean()


def test_it_is_that_of_a_bootstrap_and_of_the_jackknife(real):
    x, generator = fakes(200, 1), torch.Generator().manual_seed(0)
    drawn = [x[torch.randint(200, (200,), generator=generator)] for _ in range(500)]
    bootstrap = torch.tensor([distance(real, sample) for sample in drawn]).std().item()
    left_out = torch.tensor([distance(real, x[torch.arange(200) != i]) for i in range(200)])
    jackknife = math.sqrt(199 / 200 * (left_out - left_out.mean()).square().sum())
    assert error(real, x) == pytest.approx(jackknife, rel=0.05)
    assert error(real, x) == pytest.approx(bootstrap, rel=0.15)


def test_influences_are_the_derivatives_with_respect_to_the_samples_weights(real):
    x = fakes(50, 1)
    weights = torch.full((50,), 1 / 50, dtype=x.dtype, requires_grad=True)
    shares = weights / weights.sum()
    mean = shares @ x
    covariance = (x - mean).T @ (shares[:, None] * (x - mean))
    mean1, s1 = mean_and_covariance(real)
    product = torch.linalg.cholesky(s1).T @ covariance @ torch.linalg.cholesky(s1)
    root = torch.linalg.eigvalsh(product).sqrt().sum()
    ((mean1 - mean).square().sum() + s1.trace() + covariance.trace() - 2 * root).backward()
    found = influences(x, mean1, s1, mean.detach(), covariance.detach())
    torch.testing.assert_close(found - found.mean(), weights.grad, rtol=1e-6, atol=1e-9)


def test_of_a_part_of_the_samples_it_is_nearly_the_same(real):
    x = fakes(4000, 1)
    part = standard_error(x[:1000], 4000, mean_and_covariance(real), mean_and_covariance(x))
    assert part == pytest.approx(error(real, x), rel=0.1)


def test_samples_that_do_not_vary_have_none(real):
    assert error(real, torch.ones(100, 5, dtype=torch.float64)) == 0


def test_with_fewer_samples_than_features_it_is_finite(real):
    assert 0 < error(real, fakes(4, 1)) < math.inf

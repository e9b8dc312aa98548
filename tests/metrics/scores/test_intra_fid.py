"""The Frechet distance within classes, against its parts."""

import math

import pytest
import torch

from ganrun.metrics.scores.frechet import frechet_distance
from ganrun.metrics.scores.intra_fid import distance_of_features, intra_class_distance


def cloud(n, d, seed, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=g) @ torch.randn(d, d, generator=g) + shift


@pytest.mark.parametrize(("n", "m", "d"), [(50, 60, 5), (9, 60, 12), (60, 9, 12), (4, 3, 20), (2, 2, 3)])
def test_the_distance_is_that_of_means_and_covariances_also_of_fewer_rows_than_features(n, m, d):
    x, y = cloud(n, d, 1).double(), cloud(m, d, 2, 0.5).double()
    expected = frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()).item()
    assert distance_of_features(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(50, 5), (60, 12), (9, 40), (3, 200)])
def test_a_set_and_its_own_copy_have_a_distance_of_exactly_0(n, d):
    x = cloud(n, d, 4, 3.0)
    assert distance_of_features(x, x[torch.randperm(n, generator=torch.Generator().manual_seed(0))]) == 0


def test_a_shifted_set_has_the_squared_length_of_the_shift():
    x = cloud(7, 30, 3)
    assert distance_of_features(x, x + 2) == pytest.approx(30 * 4, rel=1e-5)


def test_the_mean_over_the_classes_does_not_weight_them_by_size():
    x = [cloud(20 * (k + 1), 4, k) for k in range(3)]
    real, labels = torch.cat(x), torch.cat([torch.full((len(part),), k) for k, part in enumerate(x)])
    fake = torch.cat([part[:10] for part in x])
    asked = torch.arange(3).repeat_interleave(10)
    expected = sum(distance_of_features(part, part[:10]) for part in x) / 3
    order = torch.randperm(30)
    assert intra_class_distance(real, labels, fake[order], asked[order]) == pytest.approx(expected)


def test_only_intra_fd_detects_a_generator_that_ignores_the_class():
    real, labels = torch.cat([cloud(300, 3, 1) - 9, cloud(300, 3, 1) + 9]), torch.arange(2).repeat_interleave(300)
    blind = torch.cat([real[::2], real[1::2]])  # both classes in each half
    assert distance_of_features(real, blind) == pytest.approx(0, abs=1e-6)
    assert intra_class_distance(real, labels, blind, labels) > 9**2
    assert intra_class_distance(real, labels, real, labels) == pytest.approx(0, abs=1e-4)


def test_a_class_with_fewer_than_two_samples_makes_it_nan():
    real, labels = cloud(20, 3, 1), torch.arange(2).repeat_interleave(10)
    assert math.isnan(intra_class_distance(real, labels, real[:11], labels[:11]))
    assert math.isnan(intra_class_distance(real, labels[:0], real, labels))

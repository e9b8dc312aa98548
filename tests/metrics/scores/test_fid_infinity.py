import pytest
import torch
from helpers.metric_fakes import normal_rows, seeded_generator

from ganrun.errors import UserError
from ganrun.metrics.score_inputs import Statistics
from ganrun.metrics.scores.fid_infinity import extrapolated_distance, growing_distances, intercept, sample_counts
from ganrun.metrics.scores.frechet import frechet_distance, moments


def with_moments(mean, covariance, count=1000):
    """Statistics of `count` real examples of exactly this mean and covariance."""
    outer = covariance * (count - 1) + count * torch.outer(mean, mean)
    return Statistics(total=mean * count, outer=outer, count=torch.tensor(count))


def standard_normal(d):
    return with_moments(torch.zeros(d).double(), torch.eye(d).double())


def plain(features, real):
    sums = features.sum(0), features.T @ features, torch.tensor(len(features))
    return frechet_distance(*moments(real.total, real.outer, real.count), *moments(*sums)).item()


def test_the_intercept_is_exact_for_points_on_a_line():
    x = 1 / torch.tensor([100.0, 250.0, 400.0, 1000.0]).double()
    assert intercept(x, 2.5 + 40 * x) == pytest.approx(2.5, rel=1e-12)


def test_the_line_has_the_least_squared_error():
    x, y = normal_rows(9, 1, 0)[:, 0], normal_rows(9, 1, 1)[:, 0]
    columns = torch.stack([torch.ones(9).double(), x], 1)
    assert intercept(x, y) == pytest.approx(torch.linalg.lstsq(columns, y[:, None]).solution[0].item(), rel=1e-9)


@pytest.mark.parametrize(
    ("samples", "d", "first"), [(50_000, 2048, 5000), (10_000, 2048, 4096), (3000, 2048, 1500), (10_000, 128, 1000)]
)
def test_counts_are_evenly_spaced_from_the_first_to_all(samples, d, first):
    counts = sample_counts(samples, d)
    assert len(counts) == 15
    assert (counts[0], counts[-1]) == (first, samples)
    assert counts.diff().max() - counts.diff().min() <= 1


def test_few_samples_give_fewer_counts_each_once():
    assert sample_counts(6, 100).tolist() == [3, 4, 5, 6]
    with pytest.raises(UserError, match=r"metrics\.samples=3"):
        sample_counts(3, 100)


@pytest.mark.parametrize("is_singular", [False, True])
def test_the_distances_are_those_of_the_first_n_features(is_singular):
    features, known = normal_rows(60, 5, 0) * 1.5 + 0.3, normal_rows(80, 5, 1)
    known[:, 2] *= not is_singular
    real = Statistics(known.sum(0), known.T @ known, torch.tensor(80))
    result = growing_distances(features, torch.tensor([20, 37, 60]), real)
    expected = [plain(features[:n], real) for n in (20, 37, 60)]
    assert [value.item() for value in result] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1.3, 0.2)])
def test_extrapolation_removes_the_bias_of_the_plain_distance(scale, shift):
    d, true = 24, 24 * ((scale - 1) ** 2 + shift**2)
    real, runs = standard_normal(d), [normal_rows(1000, d, seed) * scale + shift for seed in range(30)]
    result = torch.tensor([extrapolated_distance(x, real, seeded_generator(0)) for x in runs])
    bias = torch.tensor([plain(x, real) for x in runs]).mean() - true
    assert bias > 0.1
    assert abs(result.mean() - true) < bias / 4


def test_the_result_depends_on_the_generator_alone():
    features, real = normal_rows(200, 4, 0).float(), standard_normal(4)
    before = torch.get_rng_state()
    assert extrapolated_distance(features, real, seeded_generator(1)) == extrapolated_distance(
        features, real, seeded_generator(1)
    )
    assert extrapolated_distance(features, real, seeded_generator(1)) != extrapolated_distance(
        features, real, seeded_generator(2)
    )
    assert torch.equal(torch.get_rng_state(), before)

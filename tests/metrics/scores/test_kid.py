import pytest
import torch
from helpers.metric_fakes import normal_rows

from ganrun.metrics.scores.kid import kernel_distance

pytestmark = pytest.mark.usefixtures("seeded_stream")


def kernel(x, y):
    return (sum(float(a) * float(b) for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3


def by_double_loop(x, y):
    """The unbiased estimate of MMD^2 on two sets of the same size: Binkowski et al. 2018, eq. 4."""
    m = len(x)
    within = sum(kernel(s[i], s[j]) for s in (x, y) for i in range(m) for j in range(m) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within / (m * (m - 1)) - 2 * between / m**2


@pytest.mark.parametrize(("n", "d"), [(2, 3), (12, 1), (25, 6)])
def test_one_subset_of_everything_is_the_double_loop(n, d):
    real, fake = normal_rows(n, d, 1), normal_rows(n, d, 2, scale=1.3) + 0.2
    mean, deviation = kernel_distance(real, fake, subsets=1, subset_size=n)
    assert mean == pytest.approx(by_double_loop(real, fake), rel=1e-10)
    assert deviation == 0


def test_mean_and_deviation_equal_double_loops_over_the_random_subsets():
    real, fake = normal_rows(30, 4, 1), normal_rows(20, 4, 2) + 0.5
    result = kernel_distance(real, fake, subsets=4, subset_size=8)
    torch.manual_seed(3)
    values = []
    for _ in range(4):
        picked = real[torch.randperm(30)[:8]]
        values.append(by_double_loop(picked, fake[torch.randperm(20)[:8]]))
    values = torch.tensor(values, dtype=torch.float64)
    assert result == pytest.approx((values.mean().item(), values.std(unbiased=False).item()), rel=1e-9)


def test_the_subset_size_is_capped_at_the_smaller_set():
    real, fake = normal_rows(15, 3, 1), normal_rows(9, 3, 2)
    result = kernel_distance(real, fake, subsets=2, subset_size=1000)
    torch.manual_seed(3)
    assert result == kernel_distance(real, fake, subsets=2, subset_size=9)


def test_equal_distributions_score_zero_within_noise_and_others_do_not():
    real = normal_rows(600, 8, 1)
    same, deviation = kernel_distance(real, normal_rows(600, 8, 2), subsets=20, subset_size=200)
    other, _ = kernel_distance(real, normal_rows(600, 8, 3) + 0.3, subsets=20, subset_size=200)
    assert abs(same) < 3 * deviation
    assert other > 5 * deviation


def test_float32_features_give_the_number_of_float64_ones():
    real, fake = normal_rows(300, 64, 1).abs(), normal_rows(300, 64, 2).abs() * 1.05
    single = kernel_distance(real.float(), fake.float(), subsets=3, subset_size=100)
    torch.manual_seed(3)
    assert single == pytest.approx(kernel_distance(real, fake, subsets=3, subset_size=100), rel=1e-3)


def test_autocast_around_it_changes_nothing():
    real, fake = normal_rows(40, 5, 1).float(), normal_rows(30, 5, 2).float()
    expected = kernel_distance(real, fake, subsets=3, subset_size=20)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert kernel_distance(real, fake, subsets=3, subset_size=20) == expected

import math

import pytest
import torch
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from ganrun.metrics.scores.ndb import BINS, different_bins, jensen_shannon, kmeans, ndb_of_samples, nearest_center


class Inputs:
    """The images of ScoreInputs."""

    def __init__(self, real, fake):
        self.real_images, self.images = real, fake


def counts(seed, bins, n):
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(bins, generator=generator)
    return torch.multinomial(shares, n, replacement=True, generator=generator).bincount(minlength=bins)


def images(seed, n):
    return torch.randint(256, (n, 1, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("fake", "expected"), [([50, 50], 0), ([57, 43], 0), ([63, 37], 0), ([64, 36], 2), ([0, 100], 2)]
)
def test_shares_differ_beyond_1_96_deviations(fake, expected):
    """Of 100 against 100 with shares .5 and p: z = (p - .5) / sqrt(q (1 - q) / 50), q = (.5 + p) / 2; 1.86 at .63."""
    assert different_bins(torch.tensor([50, 50]), torch.tensor(fake)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_the_test_of_shares_is_the_chi_squared_test_of_each_bin(seed):
    real, fake = counts(seed, 12, 900), counts(seed + 50, 12, 400)
    tables = [[[r, real.sum() - r], [f, fake.sum() - f]] for r, f in zip(real, fake, strict=True)]
    expected = sum(chi2_contingency(torch.tensor(table), correction=False).pvalue < 0.05 for table in tables)
    assert 0 < expected < 12
    assert different_bins(real, fake) == expected


@pytest.mark.parametrize("seed", range(3))
def test_the_divergence_is_scipys(seed):
    real, fake = counts(seed, 12, 900), counts(seed + 50, 12, 400)
    assert jensen_shannon(real, fake) == pytest.approx(jensenshannon(real, fake) ** 2)


def test_histograms_without_a_common_bin_diverge_by_log_2():
    assert jensen_shannon(torch.tensor([3, 0]), torch.tensor([0, 7])) == pytest.approx(math.log(2))


def test_kmeans_ends_at_scipys_centers():
    x = torch.randn(300, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    start = x[torch.randperm(300, generator=torch.Generator().manual_seed(7))[:9]]
    expected, labels = kmeans2(x.numpy(), start.numpy(), iter=100, minit="matrix")
    centers = kmeans(x, 9, torch.Generator().manual_seed(7), iterations=100)
    assert centers.numpy() == pytest.approx(expected, abs=1e-12)
    assert nearest_center(x, centers, block=7).tolist() == labels.tolist()


def test_the_real_images_themselves_have_no_different_bin():
    real = images(1, 400)
    assert ndb_of_samples.compute(Inputs(real, real.flip(0))) == (0, 0)


def test_samples_of_one_image_miss_nearly_all_bins():
    real = images(1, 2000)  # about 20 in each bin: none at all is a significant difference
    share, divergence = ndb_of_samples.compute(Inputs(real, real[:1].expand(2000, -1, -1, -1)))
    assert share > 0.9
    assert divergence > 0.9 * math.log(2)


def test_too_few_images_give_no_score():
    assert all(map(math.isnan, ndb_of_samples.compute(Inputs(images(1, BINS - 1), images(2, BINS)))))

import math

import pytest
import torch
from scipy.stats import multivariate_normal

from ganrun.metrics.scores.parzen import WIDTHS, log_likelihoods, parzen_of_samples


class Inputs:
    """The images of ScoreInputs."""

    def __init__(self, real, fake):
        self.real_images, self.images = real, fake


def rows(seed, n, d):
    return torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def as_images(x):
    return (x * 255).round().to(torch.uint8)[:, None, None]


def test_likelihoods_are_those_of_a_mixture_of_gaussians():
    x, samples = rows(1, 20, 4), rows(2, 9, 4)
    result = log_likelihoods(x, samples, (0.1, 0.7), block=6)
    for values, width in zip(result, (0.1, 0.7), strict=True):
        density = sum(multivariate_normal(m.numpy(), width**2).pdf(x.numpy()) for m in samples) / len(samples)
        assert values.exp().numpy() == pytest.approx(density)


def test_one_sample_on_the_image_has_the_height_of_the_gaussian():
    x = rows(1, 1, 784)
    assert log_likelihoods(x, x, [0.2]).item() == pytest.approx(-392 * math.log(2 * math.pi * 0.2**2))


def test_the_width_is_that_of_the_validation_images_and_the_others_are_scored():
    real, samples = as_images(rows(1, 60, 8)), as_images(rows(2, 40, 8))
    x, s = (images.flatten(1).double() / 255 for images in (real, samples))
    best = max(WIDTHS, key=lambda width: log_likelihoods(x[:30], s, [width]).mean())
    scored = log_likelihoods(x[30:], s, [best])[0]
    mean, deviation = parzen_of_samples.compute(Inputs(real, samples))
    assert WIDTHS[0] < best < WIDTHS[-1]
    assert mean == pytest.approx(scored.mean().item())
    assert deviation == pytest.approx((scored.var() / 30).sqrt().item())

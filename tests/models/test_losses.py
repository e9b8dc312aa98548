"""The losses against closed forms and torch's own."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ganrun.errors import UserError
from ganrun.models import losses


@pytest.fixture
def scores():
    """Of real and fake examples, up to where the sigmoid is 0 or 1 in any precision."""
    generator = torch.Generator().manual_seed(0)
    extremes = torch.tensor([-800.0, 800.0, 0.0], dtype=torch.float64)
    draws = 3 * torch.randn(2, 50, generator=generator, dtype=torch.float64)
    return tuple(torch.cat([draw, extremes]) for draw in draws)


def entropy(score, truth):
    return binary_cross_entropy_with_logits(score, torch.full_like(score, truth))


def close(a, b):
    return torch.allclose(a, b, rtol=1e-12, atol=0)


def test_the_logistic_loss_is_binary_cross_entropy(scores):
    real, fake = scores
    assert close(losses.logistic(real, fake), entropy(real, 1.0) + entropy(fake, 0.0))


def test_the_generator_losses_are_binary_cross_entropy_with_target_1_and_minus_that_with_target_0(scores):
    fake = scores[1]
    assert close(losses.non_saturating(fake), entropy(fake, 1.0))
    assert close(losses.minimax(fake), -entropy(fake, 0.0))


def test_an_undecided_discriminator_has_the_loss_log_4():
    undecided = torch.zeros(3)
    assert float(losses.logistic(undecided, undecided)) == pytest.approx(math.log(4))


def test_both_generator_losses_fall_as_the_fakes_score_higher():
    fake = torch.linspace(-5, 5, 11, requires_grad=True)
    for loss in (losses.non_saturating, losses.minimax):
        (slope,) = torch.autograd.grad(loss(fake), fake)
        assert bool((slope < 0).all())


def test_for_a_confident_discriminator_the_minimax_loss_is_flat_and_the_other_is_not():
    fake = torch.tensor([-20.0], requires_grad=True)
    flat, steep = (float(torch.autograd.grad(loss(fake), fake)[0]) for loss in (losses.minimax, losses.non_saturating))
    assert flat == pytest.approx(0, abs=1e-8)
    assert steep == pytest.approx(-1, abs=1e-8)


def test_the_wasserstein_loss_is_the_difference_of_the_means_and_invariant_to_a_shift(scores):
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 5.0, 1.0, 0.0])
    assert float(losses.wasserstein(real, fake)) == pytest.approx(1.5 - 2)
    assert float(losses.wasserstein(real + 7, fake + 7)) == pytest.approx(1.5 - 2)


def test_least_squares_is_the_mean_square_of_the_distance_to_the_target():
    assert float(losses.least_squares(torch.tensor([[0.0, 1.0], [3.0, -1.0]]), 1)) == pytest.approx((1 + 0 + 4 + 4) / 4)


def test_losses_are_scalars_for_scores_of_any_shape():
    score = torch.zeros(2, 1, 3, 3)
    for loss in (losses.logistic(score, score), losses.non_saturating(score), losses.least_squares(score, 0)):
        assert loss.shape == ()


def test_an_unknown_loss_of_the_generator_is_refused_with_the_nearest_name():
    assert losses.generator_loss("minimax") is losses.minimax
    with pytest.raises(UserError, match=r"Unknown model.generator_loss=minmax.*minimax"):
        losses.generator_loss("minmax")

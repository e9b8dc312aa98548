"""The losses against closed forms and torch's own."""

import math
from types import SimpleNamespace

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
    assert type(losses.generator_loss("minimax")) is losses.Minimax
    with pytest.raises(UserError, match=r"Unknown model.generator_loss=minmax.*minimax"):
        losses.generator_loss("minmax")


# The objectives that `loss=` chooses, against slow loops from the papers' equations

OBJECTIVES = {  # objective: (loss of D for one real and one fake score, loss of G for one fake and one real score)
    "logistic": (losses.Logistic(), lambda r, f: -log(p(r)) - log(1 - p(f)), lambda f, r: -log(p(f))),
    "minimax": (losses.Minimax(), lambda r, f: -log(p(r)) - log(1 - p(f)), lambda f, r: log(1 - p(f))),
    "least squares 0/1": (
        losses.LeastSquares(0, 1, 1),
        lambda r, f: (r - 1) ** 2 / 2 + f**2 / 2,
        lambda f, r: (f - 1) ** 2 / 2,
    ),
    "least squares -1/1/0": (
        losses.LeastSquares(-1, 1, 0),
        lambda r, f: (r - 1) ** 2 / 2 + (f + 1) ** 2 / 2,
        lambda f, r: f**2 / 2,
    ),
    "hinge": (losses.Hinge(), lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda f, r: -f),
    "wasserstein": (losses.Wasserstein(), lambda r, f: f - r, lambda f, r: -f),
    "relativistic": (losses.Relativistic(), lambda r, f: -log(p(r - f)), lambda f, r: -log(p(f - r))),
}


def p(score):
    return 1 / (1 + math.exp(-score))


def log(x):
    return math.log(x)


def loss_of(terms):
    return terms["loss"] if isinstance(terms, dict) else terms


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("shape", [(5,), (2, 1, 3, 3)])
def test_an_objective_is_the_mean_of_the_papers_terms(name, shape):
    objective, of_d, of_g = OBJECTIVES[name]
    generator = torch.Generator().manual_seed(1)
    real, fake = (2 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    pairs = [*zip(real.flatten().tolist(), fake.flatten().tolist(), strict=True)]
    expected = sum(of_d(r, f) for r, f in pairs) / len(pairs), sum(of_g(f, r) for r, f in pairs) / len(pairs)
    assert float(loss_of(objective.discriminator(real, fake))) == pytest.approx(expected[0], abs=1e-12)
    assert float(objective.generator(fake, real)) == pytest.approx(expected[1], abs=1e-12)
    if not objective.is_relative:
        assert float(objective.generator(fake)) == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_of_bfloat16_scores_is_computed_in_float32(name):
    objective = OBJECTIVES[name][0]
    real, fake = torch.randn(2, 64, generator=torch.Generator().manual_seed(2)).bfloat16()
    for found, exact in (
        (loss_of(objective.discriminator(real, fake)), loss_of(objective.discriminator(real.float(), fake.float()))),
        (objective.generator(fake, real), objective.generator(fake.float(), real.float())),
    ):
        assert found.dtype == torch.float32
        assert torch.equal(found, exact)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_player_is_drawn_to_its_side(name):
    """A step against the gradient raises real scores and lowers fake ones for D, and raises fake ones for G."""
    objective = OBJECTIVES[name][0]
    real, fake, worse = (torch.tensor([score], requires_grad=True) for score in (0.3, 0.2, -0.2))
    of_real, of_fake = torch.autograd.grad(loss_of(objective.discriminator(real, fake)), (real, fake))
    assert of_real < 0 < of_fake
    (of_fake,) = torch.autograd.grad(objective.generator(worse, real.detach()), worse)
    assert of_fake < 0


def test_the_second_coding_of_least_squares_is_that_of_pearsons_divergence():
    """Mao et al. 2017, section 3.2.2: b - c = 1 and b - a = 2 make it Pearson's chi^2, which -1, 1, 0 has."""
    objective = losses.LeastSquares(-1, 1, 0)
    assert (objective.b - objective.c, objective.b - objective.a) == (1, 2)


def test_the_term_distance_is_the_critics_estimate():
    terms = losses.Wasserstein().discriminator(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0]))
    assert {name: float(value) for name, value in terms.items()} == {"loss": -3.0, "distance": 3.0}


class Bare:
    """An objective as the documentation has it, with nothing but the two methods."""

    def discriminator(self, real, fake):
        return (fake - real).mean()

    def generator(self, fake, real=None):
        assert real is None
        return -fake.mean()


def test_an_objective_needs_two_methods_only():
    assert not losses.needs_real(Bare())
    model = SimpleNamespace(objective=Bare(), score=None)
    assert losses.loss_of_fakes(model, torch.ones(3), {}) == -1

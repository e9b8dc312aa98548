"""The share of pairs that a discriminator tells apart."""

import pytest
import torch

from ganrun.training.callbacks.loss_curves import pair_accuracies

NAN = float("nan")


def scores(*values):
    return torch.tensor(values)


@pytest.mark.parametrize(
    ("real", "fake", "accuracy"),
    [
        (scores(1.0, 2.0), scores(0.0, 1.5), 1.0),
        (scores(1.0, 2.0), scores(3.0, 1.5), 0.5),
        (scores(1.0, 2.0), scores(1.0, 1.0), 0.75),
        (scores(0.3, 0.3), scores(0.3, 0.3), 0.5),
        (scores(-1.0, -2.0), scores(5.0, 5.0), 0.0),
        (scores(1.0, NAN), scores(0.0, 0.0), NAN),
        (torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.full((1, 2, 2), 1.5), 0.75),
        (scores(1.0, 256.0).bfloat16(), scores(0.996, 256.0).bfloat16(), 0.75),
    ],
)
def test_a_pair_counts_where_the_real_one_scores_higher_and_ties_count_half(real, fake, accuracy):
    (pairs,) = pair_accuracies({"loss": scores(1.0), "real": real[None], "fake": fake[None]}).values()
    assert pairs.mean().item() == pytest.approx(accuracy, nan_ok=True)


def test_the_accuracy_is_the_same_for_any_rising_function_of_the_scores():
    real, fake = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)) + torch.tensor([[0.5], [0.0]])
    plain, squashed = (
        pair_accuracies({"real": real[None], "fake": fake[None]})["accuracy"],
        pair_accuracies({"real": real[None].sigmoid(), "fake": fake[None].sigmoid()})["accuracy"],
    )
    assert torch.equal(plain, squashed)
    expected = 0.5 * (1 + torch.erf(torch.tensor(0.5 / 2)))  # P(N(.5, 1) > N(0, 1))
    assert plain.mean().item() == pytest.approx(expected.item(), abs=0.03)


def test_each_side_has_its_own():
    pairs = {"real_a": 1.0, "fake_a": 0.0, "real_b": 0.0, "fake_b": 1.0}
    terms = {name: torch.tensor([[score]]) for name, score in pairs.items()}
    assert {name: value.item() for name, value in pair_accuracies(terms).items()} == {"accuracy_a": 1, "accuracy_b": 0}


@pytest.mark.parametrize(
    "terms",
    [
        {"loss": scores(1.0)},
        {"real": torch.ones(3, 2)},
        {"real": torch.ones(3, 2), "fake": torch.ones(3, 1)},
        {"real": scores(1.0, 2.0), "fake": scores(0.0, 1.0)},  # means of two turns
        {"really": torch.ones(3, 2), "fakely": torch.zeros(3, 2)},
    ],
)
def test_without_pairs_there_is_none(terms):
    assert pair_accuracies(terms) == {}

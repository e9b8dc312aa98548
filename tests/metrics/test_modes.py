import math

import pytest
import torch
from helpers.metric_fakes import Pictures, Points, mixture

from ganrun.errors import UserError
from ganrun.metrics.modes import Modes

CENTERS = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]


def score(points, sigma=1.0, batch_size=3):
    data = mixture(CENTERS, sigma)
    suite = Modes("val/mode_overlap", "max", len(points), batch_size)
    return suite.score(Points(torch.tensor(points)), data)


def test_samples_at_every_mode_are_perfect():
    assert score(CENTERS * 3) == {
        "val/modes": 4, "val/high_quality": 1, "val/reverse_kl": 0, "val/mode_overlap": 1
    }  # fmt: skip


def test_a_collapsed_model_has_quality_but_one_mode():
    result = score([[0.1, 0.0]] * 8)
    assert (result["val/modes"], result["val/high_quality"]) == (1, 1)
    assert result["val/reverse_kl"] == pytest.approx(math.log(4))
    assert result["val/mode_overlap"] == 0.25


def test_a_sample_belongs_to_a_mode_within_three_sigma():
    result = score([[2.99, 0.0], [10.0, 3.01], [0.0, 10.0], [10.0, 10.0]])
    assert result["val/modes"] == 3
    assert result["val/high_quality"] == 0.75
    assert result["val/reverse_kl"] == 0  # by nearest mode, each has one
    assert result["val/mode_overlap"] == 0.75


def test_unequal_shares_have_the_kl_of_the_definition():
    result = score([CENTERS[0]] * 5 + [CENTERS[1]] * 3)
    expected = 5 / 8 * math.log(5 / 8 * 4) + 3 / 8 * math.log(3 / 8 * 4)
    assert result["val/reverse_kl"] == pytest.approx(expected)
    assert result["val/mode_overlap"] == 0.5


def test_sigma_scales_the_reach():
    assert score([[2.0, 0.0]] * 4, sigma=0.5)["val/modes"] == 0
    assert score([[1.4, 0.0]] * 4, sigma=0.5)["val/modes"] == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_nan_or_inf_in_samples_makes_all_scores_nan(broken):
    result = score([[0.0, 0.0], [broken, 0.0]])
    assert len(result) == 4
    assert all(math.isnan(value) for value in result.values())


def test_the_true_mixture_scores_as_theory_says():
    g = torch.Generator().manual_seed(0)
    points = torch.tensor(CENTERS)[torch.arange(20_000) % 4] + torch.randn(20_000, 2, generator=g)
    result = score(points.tolist(), batch_size=20_000)
    assert result["val/high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=3e-3)


def test_images_are_refused_with_the_data_sets_that_fit():
    data = Pictures()
    data.source = None
    with pytest.raises(UserError, match=r"data=fake has none. Use data=ring, data=grid"):
        Modes("val/mode_overlap", "max", 10).prepare(data)


def test_the_protocol_states_sigma_and_reach():
    protocol = Modes("val/mode_overlap", "max", 10).protocol(mixture(CENTERS, 0.5))
    assert protocol == {"samples": 10, "modes": 4, "sigma": 0.5, "near": "3 sigma"}
